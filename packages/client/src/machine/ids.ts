/** Random low bits of a made id; the milliseconds stand above them. */
const randomBits = 22
/** A clock beyond that, of the year 2109, counts as that: ids have 64 bits, and millions more must find room above the last one. */
const timeMax = 2 ** 42 - 2

/**
 * An id above the last one: time-ordered, whatever the clock does.
 * @param wallMs the time, in ms since the epoch
 * @param random a fraction, 0 <= random < 1
 */
export function idAfter(last: bigint, wallMs: number, random: number): bigint {
  const timed =
    (BigInt(Math.min(timeMax, Math.max(0, Math.trunc(wallMs)))) << BigInt(randomBits)) |
    BigInt(Math.floor(random * 2 ** randomBits))
  return timed > last ? timed : last + 1n
}
