/** Random low bits of a made id; the milliseconds stand above them. */
const randomBits = 22

/**
 * An id above the last one: time-ordered, whatever the clock does.
 * @param wallMs the time, in ms since the epoch
 * @param random a fraction, 0 <= random < 1
 */
export function idAfter(last: bigint, wallMs: number, random: number): bigint {
  const timed = (BigInt(Math.max(0, Math.trunc(wallMs))) << BigInt(randomBits)) | BigInt(Math.floor(random * 2 ** randomBits))
  return timed > last ? timed : last + 1n
}
