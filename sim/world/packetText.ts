import { decodeClientMessage, decodeServerMessage } from '@posthaste/protocol'

/** The packets of a client's message, in a line for people. */
export function clientText(bytes: Uint8Array): string {
  return decodeClientMessage(bytes).map(packetText).join('; ')
}

/** The packets of the server's message, in a line for people. */
export function serverText(bytes: Uint8Array): string {
  return decodeServerMessage(bytes).map(packetText).join('; ')
}

function packetText(packet: { readonly kind: string }): string {
  const { kind, ...fields } = packet
  const parts = Object.entries(fields).map(([name, value]) => `${name} ${fieldText(value)}`)
  return `${kind.toUpperCase()} ${parts.join(' ')}`
}

function fieldText(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} bytes`
  return JSON.stringify(value, (_name, part: unknown) => (typeof part === 'bigint' ? `${part}` : part)) ?? ''
}
