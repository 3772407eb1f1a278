import { type Address, addressFault, limits } from '@posthaste/protocol'
import { usageError } from './exit-codes.ts'
import { printable } from './printable.ts'
import { closestTo } from './suggestion.ts'

/** Every parser takes the text and the name of its flag or argument, and throws a usage error that names it and the allowed range. */

const unitSeconds: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3_600, d: 86_400 }

/** A length of time in seconds: `90`, `90s`, `10m`, `12h`, `7d`. */
export function parseDuration(text: string, field: string, range: { min: number; max: number }): number {
  const match = /^(-?\d{1,12})([smhd]?)$/.exec(text)
  const unit = unitSeconds[match?.[2] ?? '']
  const bounds = `${formatDuration(range.min)} to ${formatDuration(range.max)}`
  if (match === null || unit === undefined) {
    throw usageError(`${field} '${text}' is not a length of time`, `Write 60s, 10m, 12h or 7d; ${bounds} is allowed.`)
  }
  const seconds = Number(match[1]) * unit
  if (seconds < range.min || seconds > range.max) throw usageError(`${field} is ${text}, ${bounds} is allowed`)
  return seconds
}

/** How long a message may wait: 0 (real-time only) to 30 days, in seconds. */
export function parseExpiry(text: string, field: string): number {
  return parseDuration(text, field, { min: 0, max: limits.expirySeconds })
}

/** A length of time in the largest unit that it is a whole number of. */
export function formatDuration(seconds: number): string {
  for (const [unit, size] of [
    ['d', 86_400],
    ['h', 3_600],
    ['m', 60],
  ] as const) {
    if (seconds >= size && seconds % size === 0) return `${seconds / size}${unit}`
  }
  return seconds === 0 ? '0' : `${seconds}s`
}

/** `bob`, `user:bob` or `group:team`. A name with a colon needs its `user:` or `group:`, so that a typing error is no user. */
export function parseAddress(text: string, field: string): Address {
  const [prefix, ...rest] = text.split(':')
  const name = rest.join(':')
  if (rest.length === 0) return { user: parseName(text, field) }
  if (prefix === 'user') return { user: parseName(name, field) }
  if (prefix === 'group') return { group: parseName(name, field) }
  throw usageError(`${field} '${text}' is neither user:NAME nor group:NAME`, `If that is a user's name, write user:${text}.`)
}

/** `user:bob` or `group:team`, in the form that `parseAddress` takes. */
export function formatAddress(address: Address): string {
  if ('group' in address) return `group:${address.group}`
  return address.user.includes(':') ? `user:${address.user}` : address.user
}

/** The name of a user or a group. */
export function parseName(text: string, field: string): string {
  const fault = addressFault(text)
  if (fault !== undefined)
    throw usageError(`${field} '${printable(text)}' is no name of 1 to ${limits.addressBytes} bytes: ${fault}`)
  return text
}

/** A message's id: 1 to 2^64 − 1. */
export function parseId(text: string, field: string): bigint {
  const id = /^\d{1,40}$/.test(text) ? BigInt(text) : undefined
  if (id === undefined || id < 1n || id > limits.idMax) {
    throw usageError(`${field} is ${printable(text)}, a whole number from 1 to ${limits.idMax} is allowed`)
  }
  return id
}

/** A whole number from `min` to `max`. */
export function parseInteger(text: string, field: string, range: { min: number; max: number }): number {
  const value = /^-?\d{1,16}$/.test(text) ? Number(text) : undefined
  if (value === undefined || value < range.min || value > range.max) {
    throw usageError(`${field} is ${printable(text)}, a whole number from ${range.min} to ${range.max} is allowed`)
  }
  return value
}

/** 0 (highest) to 15 (lowest). */
export function parsePriority(text: string, field: string): number {
  return parseInteger(text, field, { min: 0, max: limits.priorityMax })
}

/** A message's type: opaque to the server. */
export function parseType(text: string, field: string): number {
  return parseInteger(text, field, { min: 0, max: limits.typeMax })
}

/** A TCP port; 0 lets the system choose. */
export function parsePort(text: string, field: string): number {
  return parseInteger(text, field, { min: 0, max: 65_535 })
}

/** One of a few words. */
export function parseChoice<const T extends string>(text: string, field: string, choices: readonly T[]): T {
  const choice = choices.find((word) => word === text)
  if (choice !== undefined) return choice
  const closest = closestTo(text, choices)
  const hint = closest === undefined ? undefined : `Did you mean ${closest}?`
  throw usageError(`${field} is '${printable(text)}', it must be one of: ${choices.join(', ')}`, hint)
}

const roles = ['send', 'receive', 'admin'] as const

/** A member's rights: `send,receive,admin` or some of them. */
export function parseRoles(text: string, field: string): string[] {
  return [...new Set(text.split(',').map((role) => parseChoice(role.trim(), field, roles)))]
}

/** A URL of one of these schemes (`ws:` …), without credentials. */
export function parseUrl(text: string, field: string, schemes: readonly string[]): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !schemes.includes(url.protocol)) {
    const forms = schemes.map((scheme) => `${scheme}//HOST:PORT`).join(' or ')
    throw usageError(`${field} '${printable(text)}' is no URL of the form ${forms}`)
  }
  if (url.username !== '' || url.password !== '') throw usageError(`${field} must not carry a name or password`)
  return text.replace(/\/+$/, '')
}
