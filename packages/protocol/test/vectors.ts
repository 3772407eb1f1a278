/**
 * The golden vectors. `npx tsx packages/protocol/test/vectors.ts --write` writes them to `vectors/`; a test checks that they are
 * current. In their packets bytes are hexadecimal digits, unsigned 64-bit ids decimal strings, and nil is null.
 */
import { writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { encodeClientMessage, encodeServerMessage } from '../src/index.ts'
import { acceptedCases, refusedCases } from './malformed.ts'
import { clientSamples, serverSamples } from './samples.ts'

/** Bytes as lower-case hexadecimal digits. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** The bytes that hexadecimal digits stand for, in a plain array. */
export function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'))
}

/** A packet as the vectors write it. */
export function toPlain(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Uint8Array) return toHex(value)
  if (Array.isArray(value)) return value.map(toPlain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, toPlain(field)]))
}

/** The folder of the vectors. */
export const vectorsUrl = new URL('vectors/', import.meta.url)

/** The files of the vectors: name and content. */
export function vectorFiles(): ReadonlyMap<string, string> {
  const client = clientSamples.map((packet) => ({ packet: toPlain(packet), hex: toHex(encodeClientMessage([packet])) }))
  const server = serverSamples.map((packet) => ({ packet: toPlain(packet), hex: toHex(encodeServerMessage([packet])) }))
  return new Map([
    ['client.json', fileText(client)],
    ['server.json', fileText(server)],
    ['accepted.json', fileText(acceptedCases().map(toPlain))],
    ['refused.json', fileText(refusedCases())],
  ])
}

function fileText(vectors: readonly unknown[]): string {
  return `[\n${vectors.map((vector) => JSON.stringify(vector)).join(',\n')}\n]\n`
}

const isProgram = import.meta.url === pathToFileURL(process.argv[1] ?? '').href
if (isProgram && process.argv.includes('--write')) {
  for (const [name, text] of vectorFiles()) writeFileSync(new URL(name, vectorsUrl), text)
}
