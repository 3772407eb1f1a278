import { hash } from 'node:crypto'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type Kind, kinds, PipeReader, PipeWriter } from '../../src/sockets/pipe.ts'

type Piece = readonly [kind: Kind, connection: number, payload: string]

/** In short, so that a failure can be read. */
const shortOf = (payload: Uint8Array): string => `${payload.length} bytes ${hash('sha1', payload)}`

/** A socket that passes on what it is given at once, or keeps the very memory that it got. */
class FakeSocket {
  readonly writes: Uint8Array[] = []
  writableLength = 0
  readonly #keeps: boolean

  constructor(keeps: boolean) {
    this.#keeps = keeps
  }

  write(bytes: Uint8Array): void {
    this.writes.push(this.#keeps ? bytes : Buffer.from(bytes))
    if (this.#keeps) this.writableLength += bytes.length
  }
}

const pieces = fc.array(
  fc.record({
    kind: fc.constantFrom(...Object.values(kinds)),
    connection: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
    payload: fc.oneof(
      { weight: 9, arbitrary: fc.uint8Array({ maxLength: 300 }) },
      { weight: 1, arbitrary: fc.integer({ min: 60_000, max: 200_000 }).map((length) => new Uint8Array(length).fill(length)) },
    ),
    isFlushed: fc.boolean(),
  }),
  { maxLength: 30 },
)

it('pieces come out as they went in, wherever the stream is cut, and whether or not the socket keeps what it gets', () => {
  fc.assert(
    fc.property(pieces, fc.boolean(), fc.array(fc.integer({ min: 1, max: 70_000 })), (all, keeps, cuts) => {
      const socket = new FakeSocket(keeps)
      const writer = new PipeWriter(socket)
      for (const { kind, connection, payload, isFlushed } of all) {
        writer.add(kind, connection, payload)
        if (isFlushed) writer.flush()
      }
      writer.flush()
      const stream = Buffer.concat(socket.writes)
      const found: Piece[] = []
      const reader = new PipeReader((kind, connection, payload) => found.push([kind, connection, shortOf(payload)]))
      let at = 0
      for (const cut of [...cuts, stream.length]) {
        if (at < stream.length) reader.push(stream.subarray(at, at + cut))
        at += cut
      }
      expect(found).toEqual(all.map((one) => [one.kind, one.connection, shortOf(one.payload)]))
    }),
  )
})

it('is cut between any two bytes', () => {
  const socket = new FakeSocket(false)
  const writer = new PipeWriter(socket)
  writer.add(kinds.message, 2, Buffer.from('hello'))
  writer.add(kinds.closed, 2)
  writer.flush()
  const [stream = new Uint8Array(0)] = socket.writes
  for (let cut = 1; cut < stream.length; cut++) {
    const found: string[] = []
    const reader = new PipeReader((kind, connection, payload) => found.push(`${kind} ${connection} ${payload}`))
    reader.push(Buffer.from(stream.subarray(0, cut)))
    reader.push(Buffer.from(stream.subarray(cut)))
    expect(found).toEqual(['2 2 hello', '4 2 '])
  }
})

it('writes many pieces at once, and nothing when there are none', () => {
  const socket = new FakeSocket(false)
  const writer = new PipeWriter(socket)
  writer.flush()
  for (let connection = 0; connection < 1_000; connection++) writer.add(kinds.writeAgain, connection)
  expect(socket.writes).toEqual([])
  writer.flush()
  expect(socket.writes).toHaveLength(1)
})
