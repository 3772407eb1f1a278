/**
 * The protocol's table of codes without what each means in words, which apps need not load: errors carry the URL of the page that
 * says it. A test holds it against the protocol's own.
 */
import type { CodeName, Status } from '@posthaste/protocol'

/** From these numbers on: statuses, refusals, and ends of connections. `+` marks what may succeed later without a change. */
const names: readonly (readonly [from: number, names: string])[] = [
  [1, 'outbox sent expired delivered read'],
  [10, 'invalid-destination inbox-full blocked not-member not-allowed too-large conflict removed unknown invalid cancelled'],
  [40, 'busy+ rate-limited+ disk-full+ too-many-keys+ not-found already-exists too-many'],
  [60, 'malformed-packet unknown-packet too-big out-of-range version-unsupported hello-expected auth-timeout+ token-invalid'],
  [68, 'token-expired+ token-revoked+ replaced stale-session too-many-devices too-many-connections+ too-slow+'],
  [75, 'heartbeat-timeout+ shutting-down+ protocol-error flood+ internal+ user-removed'],
]
const firstRefusal = 40
const firstClosing = 60

/** What a client does about a code. */
export interface CodeRow {
  readonly number: number
  readonly name: string
  readonly isRetryable: boolean
  /** Whether the connection is closed with it. */
  readonly isClosing: boolean
}

/** All codes, in the order of their numbers. */
export const codeRows: readonly CodeRow[] = names.flatMap(([from, list]) =>
  list.split(' ').map((name, at) => {
    const number = from + at
    return { number, name: name.replace('+', ''), isRetryable: name.endsWith('+'), isClosing: number >= firstClosing }
  }),
)

const unknownRow: CodeRow = { number: 0, name: 'unrecognised', isRetryable: false, isClosing: false }

/** The code of that number; one of a newer server is `unrecognised`. */
export function codeByNumber(number: number): CodeRow {
  return codeRows.find((row) => row.number === number) ?? unknownRow
}

/** The number of a code on the wire. */
export function codeNumber(name: CodeName): number {
  return codeRows.find((row) => row.name === name)?.number ?? 0
}

/** The status of that number, `unknown` for a number that is no status. */
export function statusByNumber(number: number): Status {
  return number < firstRefusal ? (codeByNumber(number).name.replace('unrecognised', 'unknown') as Status) : 'unknown'
}
