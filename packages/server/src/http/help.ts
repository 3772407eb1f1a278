import { type CodeName, codes } from '@posthaste/protocol'

/** Codes that only the HTTP API answers with. */
export type HttpCode = 'invalid-argument' | 'not-authorized' | 'method-not-allowed' | 'unsupported-media-type' | 'no-secret'

/** Every code that a problem can carry. */
export type ProblemCode = CodeName | HttpCode

/** The help page of a code, as JSON gives it. */
export interface Help {
  readonly code: string
  /** Its number on the wire; `null` for codes that are not sent there. */
  readonly number: number | null
  readonly retryable: boolean
  /** What it means. */
  readonly text: string
  /** What to do about it. */
  readonly advice: string
}

/** What to do about each code of the protocol. */
const advice: Readonly<Record<CodeName, string>> = {
  outbox: 'Nothing: the SDK sends it as soon as it is connected.',
  sent: 'Nothing: the message is safe and waits for a device of the destination.',
  expired: 'Send it again with a new id, and a longer expiry, if it still matters.',
  delivered: 'Nothing.',
  read: 'Nothing.',
  'invalid-destination': 'Check the name and its kind (user or group). Once the destination exists, the same call succeeds.',
  'inbox-full': 'Wait until a device of the destination has fetched what waits for it, then send with a new id.',
  blocked: 'The destination has to lift the block. Then send with a new id.',
  'not-member': 'Have an admin of the group add the sender. Then send with a new id.',
  'not-allowed': 'Have an admin of the group, or the HTTP API, give the right. Then try with a new id.',
  'too-large': 'Send less at once, or raise the limit of the server.',
  conflict: 'Use a new id for new content. A retry must repeat type, priority, receipts and body exactly.',
  removed: 'Nothing: the destination no longer exists.',
  unknown: "Statuses are kept until a day after the message's deadline. Ask earlier, or keep the status yourself.",
  invalid: 'Choose a shorter expiry. If it is short already, put the clock of the sending machine right.',
  cancelled: 'Nothing: the app asked for it.',
  busy: 'Try again after the time that the answer names. The SDK does so by itself.',
  'rate-limited': 'Send more slowly, and try again after the time that the answer names.',
  'disk-full': "Free space on the disk of the server's data directory. The server accepts messages again by itself.",
  'too-many-keys': "Wait for earlier messages' deadlines to pass, or use shorter expiries.",
  'not-found': 'Check the name, and create what is missing first.',
  'already-exists': 'Use the one that exists, or choose another name.',
  'too-many': 'Remove what is no longer used, or raise the limit of the server.',
  'malformed-packet': 'A client wrote bytes that are no packet. Compare it with PROTOCOL.md and its test vectors.',
  'unknown-packet': 'A client wrote a packet that the server does not know. Compare it with PROTOCOL.md.',
  'too-big': 'Keep to the limits that WELCOME and PROTOCOL.md name.',
  'out-of-range': 'Keep to the ranges that PROTOCOL.md names.',
  'version-unsupported': 'Update the client or the server, so that they share a protocol version.',
  'hello-expected': 'Send HELLO first, and only once in a connection.',
  'auth-timeout': 'Send HELLO within 10 seconds. If the token takes longer to get, get it before connecting.',
  'token-invalid': "Check the secret or keys of both sides, the token's audience, `sub`, `iat` and `nbf`, and the clocks.",
  'token-expired': 'Connect again with a fresh token. The SDK asks its token function for one.',
  'token-revoked': 'Make a new token for the user, if the user may still connect.',
  replaced: 'Give each installation a store of its own. Two copies of one store are one device.',
  'stale-session': 'Give each installation a store of its own, and never restore one from an older copy while the other runs.',
  'too-many-devices': 'Close the app on another device, or raise the limit of the server.',
  'too-many-connections': 'Close connections that are no longer needed.',
  'too-slow': 'Read from the connection faster. The SDK connects again and goes on where it was.',
  'heartbeat-timeout': 'Check the network. The SDK connects again by itself.',
  'shutting-down': 'Connect again after the time that the answer names.',
  'protocol-error': 'A packet came when it was not allowed. Compare the client with PROTOCOL.md.',
  flood: 'Find out why the client sends so much, then connect again.',
  internal: "Look into the server's log. Trying again is safe: a retry with the same id never sends twice.",
  'user-removed': 'Nothing: the user no longer exists.',
}

/** Codes that are not on the wire: name, whether a retry may help, meaning, advice. */
const offWire: readonly (readonly [string, boolean, string, string])[] = [
  // The HTTP API's.
  [
    'invalid-argument',
    false,
    'An argument is missing, unknown, or outside its range.',
    'Put right the field that the error names.',
  ],
  [
    'not-authorized',
    false,
    'The admin key is missing or wrong.',
    "Send 'Authorization: Bearer KEY' with the server's admin key.",
  ],
  ['method-not-allowed', false, 'The path is there, but not with this method.', "Use one that the header 'Allow' names."],
  ['unsupported-media-type', false, 'The body is not JSON.', "Send JSON, with 'Content-Type: application/json'."],
  ['no-secret', false, 'The server verifies tokens by public keys and can sign none.', 'Make tokens where the private key is.'],
  // The SDK's.
  ['token-refused', false, 'The token function of the app has refused to give a token.', 'Sign the user in again.'],
  [
    'token-failed',
    true,
    'The token function of the app has failed.',
    'Look at the error underneath; the SDK asks again by itself.',
  ],
  ['wrong-user', false, "The store belongs to another user than the token's.", 'Give each user a store of its own.'],
  [
    'outbox-full',
    true,
    'As many messages as the outbox may hold are not delivered yet, nor ended otherwise.',
    'Wait until some are delivered: what is sent but not received yet counts too.',
  ],
  ['set-aside-full', false, 'As many messages are set aside as may be.', 'Retry or drop those that were set aside.'],
  [
    'incomplete',
    false,
    'At its deadline only some members of the group had stored the message.',
    'Look at its counts and receipts.',
  ],
  ['store-full', true, "The device's storage is full.", 'Free some space on the device, then try again.'],
  ['store-locked', true, "The device's store is open elsewhere.", 'Close the other process that uses it.'],
  ['store-failed', false, "The device's store can't be read or written.", 'Look at the error underneath; check disk and rights.'],
  ['store-lost', false, "The browser took the device's store away.", 'Make a new client; it opens what is there now.'],
  ['store-corrupt', false, "The device's store holds something that can't be read.", 'Start with a new store.'],
  ['connection-lost', true, 'The connection broke.', 'Nothing: the SDK connects again by itself.'],
  ['timeout', true, 'No answer came in time.', 'Check the network, then try again.'],
  [
    'handler-failed',
    true,
    'The handler of a message has thrown.',
    'Look at the error underneath. The failure policy says what comes next.',
  ],
  ['observer-failed', false, 'A function that observes has thrown.', 'Look at the error underneath. Messages are not affected.'],
  ['already-receiving', false, 'There is a handler for messages already.', 'Stop the first one before giving another.'],
  ['closed', false, 'The client was closed.', 'Make a new client.'],
  ['aborted', false, 'The signal of the call was aborted, or the tab that ran it has gone.', 'Call again if it is still wanted.'],
]

const pages: ReadonlyMap<string, Help> = new Map([
  ...codes.map(({ name, number, isRetryable, text }): [string, Help] => [
    name,
    { code: name, number, retryable: isRetryable, text, advice: advice[name as CodeName] },
  ]),
  ...offWire.map(([code, retryable, text, what]): [string, Help] => [
    code,
    { code, number: null, retryable, text, advice: what },
  ]),
])

/** What is to be known about a code of the server or the SDK; `undefined` for one that does not exist. */
export function helpOf(code: string): Help | undefined {
  return pages.get(code)
}

/** Where the help page of a code is, as a path of the HTTP API. */
export function helpPath(code: ProblemCode): string {
  return `/v1/errors/${code}`
}

/** The help page of a code as HTML, without scripts or anything loaded; `undefined` for a code that does not exist. */
export function errorPage(code: string): string | undefined {
  const help = helpOf(code)
  if (help === undefined) return undefined
  const facts = [
    help.number === null ? [] : [`number ${help.number}`],
    help.retryable ? ['the same may succeed later'] : ['trying the same again does not help'],
  ].flat()
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(help.code)} · Posthaste</title>
<style>
:root { color-scheme: light dark; font: 1.05rem/1.6 system-ui, sans-serif }
body { max-width: 38rem; margin: 12vh auto; padding: 0 1.5rem }
h1 { font: 600 1.6rem ui-monospace, monospace; margin: 0 }
.facts { opacity: .7; margin: 0 0 2rem }
h2 { font-size: 1rem; margin: 1.5rem 0 0 }
p { margin: .2rem 0 }
</style>
<h1>${escaped(help.code)}</h1>
<p class="facts">${escaped(facts.join(' · '))}</p>
<h2>What it means</h2>
<p>${escaped(help.text)}</p>
<h2>What to do</h2>
<p>${escaped(help.advice)}</p>
</html>
`
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => entities[character] ?? '')
}
