/** Appends records until it is told otherwise, and writes `ack <position>` after each one that is acknowledged. Arguments: directory, count, bytes, in flight, `flush` for a system without O_DSYNC. */
import { writeSync } from 'node:fs'
import { FileJournal } from '../../../src/storage/journal.ts'

const [directory = '', count = '0', bytes = '240', depth = '1', how = ''] = process.argv.slice(2)
const journal = FileJournal.open(directory, how === 'flush' ? { hasWriteThrough: false } : {})
const lastPosition = journal.lastPosition + Number(count)
const record = new Uint8Array(Number(bytes)).fill(7)
process.on('unhandledRejection', (cause) => writeSync(1, `unhandled ${String(cause)}\n`))

const appendOn = async (): Promise<void> => {
  while (journal.lastPosition < lastPosition) {
    const position = journal.lastPosition + 1
    await journal.append(position, record)
    writeSync(1, `ack ${position}\n`)
  }
}

try {
  await Promise.all(Array.from({ length: Number(depth) }, appendOn))
} catch (cause) {
  writeSync(1, `rejected ${cause instanceof Error && 'code' in cause ? cause.code : String(cause)}\n`)
}
await journal.append(journal.lastPosition + 1, record).catch((cause) => writeSync(1, `then ${cause.code}\n`))
await journal.close()
writeSync(1, 'closed\n')
