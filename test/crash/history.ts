import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs'

/**
 * What a process noted of its own view, in a file that survives its death: one JSON array a line.
 *
 * | line | meaning |
 * | --- | --- |
 * | `run`, n | the process was started for the n-th time |
 * | `attempt`, id, to, lane | its app is about to send this |
 * | `written`, first, last | the SDK said that these ids are safe in the outbox |
 * | `impostor`, id | its app is about to send other content under an id that was used |
 * | `status`, id, status | the SDK, or the HTTP API, said so |
 * | `handled`, key, body, lane, redelivered | a handler was called |
 */
export type Note =
  | readonly ['run', number]
  | readonly ['attempt', number, string, number]
  | readonly ['written', number, number]
  | readonly ['impostor', number]
  | readonly ['status', number, string]
  | readonly ['handled', string, string, number, boolean]

/** A file of notes: what is noted is in the operating system's hands when the call returns, whatever becomes of the process. */
export class NoteFile {
  readonly #path: string
  readonly #descriptor: number

  constructor(path: string) {
    const isCutOff = existsSync(path) && !/(^|\n)$/.test(readFileSync(path, 'utf8').slice(-1))
    this.#path = path
    this.#descriptor = openSync(path, 'a', 0o600)
    if (isCutOff) writeSync(this.#descriptor, '\n')
  }

  add(...notes: readonly Note[]): void {
    writeSync(this.#descriptor, notes.map((note) => `${JSON.stringify(note)}\n`).join(''))
  }

  read(): Note[] {
    return readNotes(this.#path)
  }

  close(): void {
    closeSync(this.#descriptor)
  }
}

/** The notes of a file, none when it is not there. What a kill cut off is left out. */
export function readNotes(path: string): Note[] {
  if (!existsSync(path)) return []
  return readFileSync(path, 'utf8').split('\n').flatMap(noteOf)
}

function noteOf(line: string): Note[] {
  try {
    const parsed: unknown = JSON.parse(line)
    return Array.isArray(parsed) ? [parsed as unknown as Note] : []
  } catch {
    return []
  }
}

/** The body of a message: who sends it, to whom, in which lane, and under which id. `isLast` says that nothing follows it there. */
export function bodyOf(sender: string, to: string, lane: number, id: number, isLast = false): string {
  return `${sender} ${to} ${lane} ${id}${isLast ? ' last' : ''}`
}

/** What {@link bodyOf} was made of. */
export function partsOf(body: string): { sender: string; to: string; lane: number; id: number; isLast: boolean } {
  const [sender = '', to = '', lane, id, last] = body.split(' ')
  return { sender, to, lane: Number(lane), id: Number(id), isLast: last === 'last' }
}
