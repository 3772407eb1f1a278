import type { Choices } from './choices.ts'

/** A value of MessagePack as its bytes: the first byte, the length or number that follows, and the content. */
export interface Value {
  readonly head: Uint8Array
  readonly content: Uint8Array | readonly Value[]
}

/** Reads well-formed MessagePack of the kinds that Posthaste writes: what was written is the values' bytes, one after the other. */
export function parse(bytes: Uint8Array): Value[] {
  const values: Value[] = []
  let at = 0
  while (at < bytes.length) {
    const { value, end } = parseValue(bytes, at)
    values.push(value)
    at = end
  }
  return values
}

function parseValue(bytes: Uint8Array, at: number): { readonly value: Value; readonly end: number } {
  const first = bytes[at] ?? 0
  const width = widthOf(first)
  const content = at + 1 + width
  const head = bytes.subarray(at, content)
  const length = lengthOf(head)
  if (!isArray(first)) return { value: { head, content: bytes.subarray(content, content + length) }, end: content + length }
  const elements: Value[] = []
  let end = content
  for (let count = 0; count < length; count++) {
    const element = parseValue(bytes, end)
    elements.push(element.value)
    end = element.end
  }
  return { value: { head, content: elements }, end }
}

/** Where values are written to: a buffer that is used again, of which what does not fit is left out. */
export class Sink {
  readonly #bytes = new Uint8Array(1_048_576)
  length = 0

  /** What was written since the length was set to 0, as the buffer itself. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.length)
  }

  put(bytes: Uint8Array): void {
    if (this.length + bytes.length > this.#bytes.length) return
    this.#bytes.set(bytes, this.length)
    this.length += bytes.length
  }

  /** The bytes of a value, whether it lies or not. */
  write({ head, content }: Value): void {
    this.put(head)
    if (content instanceof Uint8Array) this.put(content)
    else for (const element of content) this.write(element)
  }
}

const isArray = (first: number): boolean => (first >= 0x90 && first <= 0x9f) || first === 0xdc || first === 0xdd

/** How many bytes of a length or number follow the first byte. */
function widthOf(first: number): number {
  if (first >= 0xc4 && first <= 0xc6) return 1 << (first - 0xc4)
  if (first >= 0xcc && first <= 0xcf) return 1 << (first - 0xcc)
  if (first >= 0xd9 && first <= 0xdb) return 1 << (first - 0xd9)
  if (first === 0xdc) return 2
  return first === 0xdd ? 4 : 0
}

/** How much content a head says that it has: bytes, or elements of an array. */
function lengthOf(head: Uint8Array): number {
  const first = head[0] ?? 0
  if (first >= 0x90 && first <= 0x9f) return first & 0x0f
  if (first >= 0xa0 && first <= 0xbf) return first & 0x1f
  if (head.length === 1 || (first >= 0xcc && first <= 0xcf)) return 0
  return head.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0)
}

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'))
const scalar = (hex: string): Value => ({ head: bytesOf(hex), content: [] })

/** Values at the ends of ranges, of every kind, of other widths, and such as no packet may have. */
const extremes: readonly Value[] = [
  ...['00', '01', '0f', '10', '7f', 'cc80', 'ccff', 'cd0100', 'cdffff', 'ce00010000', 'ceffffffff', 'ce7fffffff'],
  ...['cf0000000100000000', 'cf001fffffffffffff', 'cf0020000000000000', 'cfffffffffffffffff', 'cf8000000000000000'],
  ...['cf0000000000000001', 'cc01', 'cd0001', 'd001', 'd10001', 'd200000001', 'd30000000000000001', 'd3001fffffffffffff'],
  ...['ff', 'e0', 'd0ff', 'd18000', 'd2ffffffff', 'd3ffffffffffffffff', 'd38000000000000000'],
  ...['c0', 'c1', 'c2', 'c3', 'ca3f800000', 'cb3ff0000000000000', '80', '81', 'de0000', 'df00000000', 'd40000', 'c70000'],
  ...['a0', 'a161', 'a12e', 'a22e2e', 'a100', 'a180', 'a3eda080', 'a4f09f9880', 'd90161', 'da000161', 'db0000000161'],
  ...['c400', 'c40100', 'c5000100', 'c60000000100', '90', '9100', '920000', '91c0', 'dc0000', 'dd00000000', 'dc0100'],
].map(scalar)

/** Lengths that are a lie nearly always. */
const lies: readonly ((head: Uint8Array, choices: Choices) => Uint8Array)[] = [
  (head) => head.map((byte, at) => (at === head.length - 1 ? byte + 1 : byte)),
  (head) => head.map((byte, at) => (at === head.length - 1 ? byte - 1 : byte)),
  (head) => head.map((byte, at) => (at > 0 ? 0xff : byte)),
  (head) => head.map((byte, at) => (at > 0 ? 0 : byte)),
  () => bytesOf('ddffffffff'),
  () => bytesOf('dc3e80'),
  () => bytesOf('dbffffffff'),
  () => bytesOf('d9ff'),
  () => bytesOf('c6ffffffff'),
  () => bytesOf('c600100000'),
  (_head, choices) => choices.bytes(1 + choices.below(4)),
]

/** A value that is somehow another one: one of its parts, at any depth, has changed. */
export function mutate(value: Value, choices: Choices): Value {
  const { head, content } = value
  if (content instanceof Uint8Array) return mutateScalar(value, choices)
  if (content.length > 0 && !choices.oneIn(3)) {
    const at = choices.below(content.length)
    return { head, content: content.map((element, index) => (index === at ? mutate(element, choices) : element)) }
  }
  return choices.oneIn(3) ? mutateScalar(value, choices) : mutateElements(head, content, choices)
}

function mutateScalar({ head, content }: Value, choices: Choices): Value {
  switch (choices.below(4)) {
    case 0:
    case 1:
      return choices.pick(extremes)
    case 2:
      return { head: choices.pick(lies)(head, choices), content }
    default: {
      if (!(content instanceof Uint8Array) || content.length === 0) return { head: choices.bytes(1), content }
      const at = choices.below(content.length)
      return { head, content: content.map((byte, index) => (index === at ? choices.byte() : byte)) }
    }
  }
}

/** Elements swapped, doubled, left out or repeated, with or without a head that says so. */
function mutateElements(head: Uint8Array, elements: readonly Value[], choices: Choices): Value {
  const at = choices.below(elements.length + 1)
  const other = choices.below(elements.length + 1)
  const isHonest = choices.oneIn(2)
  const changed = [...elements]
  const [one, two] = [elements[at], elements[other]]
  switch (choices.below(4)) {
    case 0:
      if (one !== undefined && two !== undefined) changed.splice(at, 1, two)
      if (one !== undefined && two !== undefined) changed.splice(other, 1, one)
      break
    case 1:
      changed.splice(at, 1)
      break
    case 2:
      changed.splice(at, 0, two ?? choices.pick(extremes))
      break
    default:
      for (let times = 1 << choices.below(9); times > 0; times--) changed.push(one ?? choices.pick(extremes))
  }
  const length = changed.length
  return { head: isHonest ? Uint8Array.of(0xdc, length >> 8, length & 255) : head, content: changed }
}
