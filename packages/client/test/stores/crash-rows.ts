/** The rows of one commit in the crash test: the process that is killed writes them, the test looks for them. */
const rowsPerCommit = 3

/** The keys that commit number `commit` puts. */
export function crashKeys(commit: number): Uint8Array[] {
  return Array.from({ length: rowsPerCommit }, (_, row) => {
    const key = new Uint8Array(6)
    const view = new DataView(key.buffer)
    view.setUint32(0, commit)
    view.setUint16(4, row)
    return key
  })
}

/** The value under each of them: 1 to 5 kB that depend on the number, so that some span the blocks of a log. */
export function crashValue(commit: number): Uint8Array {
  return new Uint8Array(1000 + ((commit * 997) % 4000)).fill((commit % 255) + 1)
}
