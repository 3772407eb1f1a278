import type { Dice } from './choices.ts'

/** One input in so many is not made of another one. */
const freshOneIn = 8
/** Bytes that choose what is rare: the ends of ranges. */
const rareBytes = [0, 1, 127, 128, 254, 255]

/** Makes genomes: new ones, and such as differ a little from those that were kept. */
export class Mutator {
  /** What was kept. */
  readonly corpus: Uint8Array[] = []
  readonly #dice: Dice
  readonly #freshBytesMax: number

  /** @param freshBytesMax bytes of the longest genome that is not made of others, which may become twice as long */
  constructor(dice: Dice, freshBytesMax: number) {
    this.#dice = dice
    this.#freshBytesMax = freshBytesMax
  }

  next(): Uint8Array {
    const dice = this.#dice
    if (this.corpus.length === 0 || dice.below(freshOneIn) === 0) return dice.bytes(1 + dice.below(this.#freshBytesMax))
    let genome = this.#parent()
    const edits = 1 + dice.below(4)
    for (let edit = 0; edit < edits; edit++) genome = this.#edit(genome)
    return genome.subarray(0, 2 * this.#freshBytesMax)
  }

  #parent(): Uint8Array {
    return this.corpus[this.#dice.below(this.corpus.length)] ?? new Uint8Array()
  }

  #edit(genome: Uint8Array): Uint8Array {
    const dice = this.#dice
    const at = dice.below(genome.length + 1)
    const length = dice.below(16)
    switch (dice.below(6)) {
      case 0:
        return changed(genome, at, dice.below(256))
      case 1:
        return changed(genome, at, rareBytes[dice.below(rareBytes.length)] ?? 0)
      case 2:
        return joined(genome.subarray(0, at), dice.bytes(length), genome.subarray(at))
      case 3:
        return joined(genome.subarray(0, at), genome.subarray(at + length))
      case 4: {
        const other = this.#parent()
        return joined(genome.subarray(0, at), other.subarray(dice.below(other.length + 1)))
      }
      default:
        return joined(genome.subarray(0, at), genome.subarray(Math.max(0, at - length)))
    }
  }
}

function changed(genome: Uint8Array, at: number, value: number): Uint8Array {
  const copy = genome.slice()
  copy[at] = value
  return copy
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts)
}
