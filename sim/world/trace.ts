/** What happened, as a hash that two runs of one seed must share, and where asked for as lines for people. */
export class Trace {
  readonly #isKept: boolean
  readonly lines: string[] = []
  #low = 0x811c9dc5
  #high = 0x050c5d1f
  #count = 0

  constructor(isKept: boolean) {
    this.#isKept = isKept
  }

  /** How many things were noted. */
  get count(): number {
    return this.#count
  }

  /** 16 hexadecimal digits. */
  get hash(): string {
    return [this.#high, this.#low].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('')
  }

  /**
   * Notes an event.
   * @param number of whatever tells this event from others of its kind: a size, a position
   * @param detail the rest of the line, made only when lines are kept
   */
  note(atMs: number, who: string, what: string, number = 0, detail?: () => string): void {
    this.#count += 1
    this.#mix(Math.round(atMs * 1_000) >>> 0)
    for (let at = 0; at < who.length; at++) this.#mix(who.charCodeAt(at))
    for (let at = 0; at < what.length; at++) this.#mix(what.charCodeAt(at))
    this.#mix(number >>> 0)
    if (this.#isKept)
      this.lines.push(`${timeText(atMs)} ${who.padEnd(8)} ${what}${detail === undefined ? ` ${number}` : ` ${detail()}`}`)
  }

  /** Takes bytes into the hash. */
  bytes(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at++) this.#mix(bytes[at] ?? 0)
  }

  #mix(value: number): void {
    this.#low = Math.imul(this.#low ^ value, 0x01000193)
    this.#high = Math.imul(this.#high ^ value ^ 0x5a, 0x01000193) ^ (this.#low >>> 15)
  }
}

/** A simulated time as people read it. */
export function timeText(atMs: number): string {
  const seconds = Math.floor(atMs / 1_000)
  const parts = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60].map((part) =>
    String(part).padStart(2, '0'),
  )
  return `${parts.join(':')}.${(atMs % 1_000).toFixed(3).padStart(7, '0')}`
}
