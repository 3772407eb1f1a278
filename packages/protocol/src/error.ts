import type { CodeName } from './codes.ts'

/**
 * What a decoder throws at bytes that break the protocol. Always one of the closing codes: `malformed-packet`, `unknown-packet`,
 * `too-big` or `out-of-range`. Nothing of the message was acted upon.
 */
export class ProtocolError extends Error {
  readonly code: CodeName
  /** The packet or field that was at fault, where one is known. */
  readonly field: string
  constructor(code: CodeName, field: string, text: string) {
    super(field === '' ? text : `${field}: ${text}`)
    this.name = 'ProtocolError'
    this.code = code
    this.field = field
  }
}
