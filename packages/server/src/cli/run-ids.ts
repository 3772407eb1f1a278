import { createHash } from 'node:crypto'
import { limits } from '@posthaste/protocol'
import { usageError } from './exit-codes.ts'

/** The id of the n-th message of a run (1 for the first); `undefined` lets the SDK make one. */
export type IdOfMessage = (number: number) => bigint | undefined

/** Bits for a message's number within a named run: 268,435,455 messages. */
const numberBits = 28n

/**
 * Ids that are the same each time the same input is sent under the same name: 36 bits of the name's SHA-256, then the message's
 * number. So a message that the server has already is found there, and none is sent twice.
 */
export function idsOfRun(name: string): IdOfMessage {
  const digest = createHash('sha256').update(name, 'utf8').digest()
  const base = (digest.readBigUInt64BE() >> numberBits) << numberBits
  return (number) => {
    if (BigInt(number) >> numberBits > 0n) throw usageError(`A run has at most ${2n ** numberBits - 1n} messages`)
    return base + BigInt(number)
  }
}

/** Ids that count up from `start`. */
export function idsFrom(start: bigint): IdOfMessage {
  return (number) => {
    const id = start + BigInt(number - 1)
    if (id > limits.idMax) throw usageError(`The id of message ${number} would be beyond ${limits.idMax}`)
    return id
  }
}
