/** The value below which this share (0 to 1) of the values lies; 0 when there are none. */
export function quantileOf(values: readonly number[], share: number): number {
  const sorted = [...values].sort((left, right) => left - right)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

/** The middle value; of an even number of values the higher one of the two. */
export function medianOf(values: readonly number[]): number {
  return quantileOf(values, 0.5)
}
