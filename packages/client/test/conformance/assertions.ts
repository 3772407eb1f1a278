import type { StoreRow } from '../../src/store.ts'

/** Bytes given as numbers. */
export function bytes(...values: number[]): Uint8Array {
  return Uint8Array.of(...values)
}

/** The UTF-8 of a text. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** A row that can be compared and printed: key and value in hexadecimal. */
export function shown(rows: readonly StoreRow[]): string[] {
  return rows.map(([key, value]) => `${hex(key)}=${hex(value)}`)
}

/** Throws unless both values are the same in JSON. */
export function assertSame(actual: unknown, expected: unknown, what: string): void {
  const [shownActual, shownExpected] = [JSON.stringify(actual) ?? 'undefined', JSON.stringify(expected) ?? 'undefined']
  if (shownActual !== shownExpected) throw new Error(`${what}: expected ${cut(shownExpected)}, got ${cut(shownActual)}`)
}

/** Throws unless the two are the same bytes, or both absent; a value must be a plain `Uint8Array`. */
export function assertBytes(actual: Uint8Array | undefined, expected: Uint8Array | undefined, what: string): void {
  if (actual !== undefined && Object.getPrototypeOf(actual) !== Uint8Array.prototype)
    throw new Error(`${what}: not a plain Uint8Array`)
  assertSame(actual && hex(actual), expected && hex(expected), what)
}

/** Throws unless `call` rejects with an error of this code. */
export async function assertRejects(call: () => Promise<unknown>, code: string, what: string): Promise<void> {
  let outcome: unknown = 'no error'
  try {
    await call()
  } catch (error) {
    outcome = error
    if (error instanceof Error && error.name === 'PosthasteError' && 'code' in error && error.code === code) return
  }
  throw new Error(`${what}: expected a PosthasteError ${code}, got ${String(outcome)}`)
}

function hex(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function cut(text: string): string {
  return text.length > 600 ? `${text.slice(0, 600)}…` : text
}
