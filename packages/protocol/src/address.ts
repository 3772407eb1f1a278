import { limits } from './limits.ts'
import { utf8Length } from './utf8.ts'

/** Who a message goes to, as the SDK, HTTP and JSON write it. */
export type Address = { readonly user: string } | { readonly group: string }

/** The two kinds of address, as numbers on the wire: 0 a user, 1 a group. */
export type AddressKind = 0 | 1
/** The kind of a user's address. */
export const userKind = 0
/** The kind of a group's address. */
export const groupKind = 1

/** Why a name is no address, in words for people; `undefined` when it is one: 1–128 bytes of UTF-8, no controls, not `.` or `..`. */
export function addressFault(name: string): string | undefined {
  if (isPlain(name)) return undefined
  const bytes = utf8Length(name)
  if (bytes < 0) return 'it is not well-formed Unicode'
  if (bytes === 0) return 'it is empty'
  if (bytes > limits.addressBytes) return `it takes ${bytes} bytes, 1 to ${limits.addressBytes} are allowed`
  if (name === '.' || name === '..') return "'.' and '..' are not allowed"
  for (let at = 0; at < name.length; at++) {
    const unit = name.charCodeAt(at)
    if (unit < 0x20 || (unit >= 0x7f && unit < 0xa0)) return 'control characters are not allowed'
  }
  return undefined
}

/** Whether a name is printable ASCII, as nearly all are: looked through once. */
function isPlain(name: string): boolean {
  const { length } = name
  if (length === 0 || length > limits.addressBytes) return false
  for (let at = 0; at < length; at++) {
    const unit = name.charCodeAt(at)
    if (unit < 0x20 || unit >= 0x7f) return false
  }
  return name !== '.' && name !== '..'
}

/** The kind of an address. */
export function kindOf(address: Address): AddressKind {
  return 'user' in address ? userKind : groupKind
}

/** The name within its kind. */
export function nameOf(address: Address): string {
  return 'user' in address ? address.user : address.group
}

/** The address of that kind and name. */
export function addressOf(kind: AddressKind, name: string): Address {
  return kind === userKind ? { user: name } : { group: name }
}
