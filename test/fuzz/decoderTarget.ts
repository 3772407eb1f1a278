import {
  codeOf,
  decodeClientMessage,
  decodeServerMessage,
  encodeClientMessage,
  encodeServerMessage,
  ProtocolError,
} from '@posthaste/protocol'
import { clientSamples, serverSamples } from '../../packages/protocol/test/samples.ts'
import { Choices } from './choices.ts'
import { mutate, parse, Sink, type Value } from './messagePack.ts'
import { type Stopwatch, type Target, Violation } from './target.ts'

const sides = [
  { decode: decodeClientMessage, encode: encodeClientMessage as (packets: readonly unknown[]) => Uint8Array },
  { decode: decodeServerMessage, encode: encodeServerMessage as (packets: readonly unknown[]) => Uint8Array },
] as const

/** Packets as values, to be changed. */
const samples: readonly (readonly Value[])[] = [
  clientSamples.map((packet) => packetOf(encodeClientMessage([packet]))),
  serverSamples.map((packet) => packetOf(encodeServerMessage([packet]))),
]

/** Messages of at most this many bytes are also decoded cut off at every byte, now and then. */
const cutBytesMax = 512

/**
 * Both decoders of the protocol, given messages of right packets of which some parts are changed. What comes out is packets that can be
 * written and read again, or a ProtocolError with a closing code; never anything else, and never late.
 */
export const decoderTarget = (stopwatch: Stopwatch): Target => ({
  name: 'decoder',
  genomeBytesMax: 128,
  batchInputs: 64,
  isWatched: (url) => /\/packages\/protocol\/(src|dist)\//.test(url),
  run(genome) {
    const choices = new Choices(genome)
    const { bytes, packets } = compose(choices)
    let count = packets
    // Mostly by the decoder that it is meant for, which goes deeper.
    const side = choices.below(8) === 0 ? 1 - ((genome[0] ?? 0) % 2) : (genome[0] ?? 0) % 2
    check(stopwatch, bytes, side)
    if (bytes.length > cutBytesMax || !choices.oneIn(64)) return count
    for (let length = 0; length < bytes.length; length++, count++) check(stopwatch, bytes.subarray(0, length), side)
    return count
  },
  describe: (genome) => Buffer.from(compose(new Choices(genome)).bytes).toString('hex'),
})

const sink = new Sink()

/** A message of one to eight packets, most of them changed a little. Its bytes are good until the next one. */
function compose(choices: Choices): { readonly bytes: Uint8Array; readonly packets: number } {
  const list = samples[choices.byte() % 2] ?? []
  const packets = 1 + choices.below(8)
  sink.length = 0
  for (let packet = 0; packet < packets; packet++) {
    let value = choices.pick(list)
    for (let times = choices.below(4); times > 0; times--) value = mutate(value, choices)
    sink.write(value)
  }
  if (choices.oneIn(16)) sink.length = choices.below(Math.min(sink.length, 65_535) + 1)
  if (choices.oneIn(16)) sink.put(choices.bytes(choices.below(8)))
  return { bytes: sink.written, packets }
}

function check(stopwatch: Stopwatch, bytes: Uint8Array, side: number): void {
  const { decode, encode } = sides[side === 0 ? 0 : 1]
  try {
    const packets = stopwatch.time(`decoding ${bytes.length} bytes`, () => decode(bytes))
    const written = encode(packets)
    if (!isSame(written, encode(decode(written)))) throw new Violation('what was read is not what is written and read again')
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    if (!codeOf(error.code).isClosing) throw new Violation(`${error.code} closes no connection`)
  }
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0
}

function packetOf(message: Uint8Array): Value {
  const [value] = parse(message)
  if (value === undefined) throw new RangeError('a message without a packet')
  return value
}
