/** Writes checkpoints of a generation each, for ever, and writes `committed <generation>` after each. Arguments: directory, rows. */
import { writeSync } from 'node:fs'
import { LmdbTables } from '../../../src/storage/tables.ts'

const [directory = '', rows = '1000'] = process.argv.slice(2)
const tables = LmdbTables.open(directory)
process.on('unhandledRejection', (cause) => writeSync(1, `unhandled ${String(cause)}\n`))
const value = new Uint8Array(200)
try {
  for (let generation = 1; ; generation++) {
    const checkpoint = tables.beginCheckpoint()
    value.fill(generation % 251)
    for (let row = 0; row < Number(rows); row++) {
      checkpoint.put(Buffer.from(String(row).padStart(7, '0')), value)
      if (row % 500 === 499) await new Promise((resolve) => setImmediate(resolve))
    }
    writeSync(1, `filled ${generation}\n`)
    await checkpoint.commit()
    writeSync(1, `committed ${generation}\n`)
  }
} catch (cause) {
  writeSync(1, `rejected ${cause instanceof Error && 'code' in cause ? cause.code : String(cause)}\n`)
}
writeSync(1, `row ${tables.get(Buffer.from('0000000'))?.[0] ?? 'none'}\n`)
await tables.close()
writeSync(1, 'closed\n')
