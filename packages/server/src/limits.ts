import type { Settings } from '@posthaste/core'
import { limits } from '@posthaste/protocol'

/** The limits that an operator may set, with the range of each. They are state: a change is a record, and stays until the next change. */
export const limitRanges = {
  bodyBytes: [0, limits.bodyBytes],
  expirySecondsMax: [1, limits.expirySeconds],
  devicesPerUser: [1, 64],
  deviceDays: [1, 365],
  inboxEntries: [1, 10_000_000],
  inboxBytes: [1_048_576, 1_099_511_627_776],
  groupEntries: [1, 10_000_000],
  groupBytes: [1_048_576, 1_099_511_627_776],
  groupsPerUser: [1, 1_000],
  membersPerGroup: [1, 1_000_000],
} as const satisfies Partial<Record<keyof Settings, readonly [number, number]>>

/** The name of a limit that may be set. */
export type LimitName = keyof typeof limitRanges

/** What was set; limits that are not named stay as they are. */
export type LimitSettings = Partial<Record<LimitName, number>>

/** The limits in `name=number,name=number`, or in words what is wrong with it. */
export function parseLimits(text: string): LimitSettings | string {
  const limits: LimitSettings = {}
  for (const part of text.split(',')) {
    const [name, value, ...rest] = part.split('=').map((piece) => piece.trim())
    if (name === undefined || !isLimitName(name)) return `'${name ?? ''}' is no limit: ${Object.keys(limitRanges).join(', ')} are`
    const [min, max] = limitRanges[name]
    const number = Number(value)
    if (rest.length > 0 || !/^\d+$/.test(value ?? '') || number < min || number > max)
      return `${name} is ${value ?? 'missing'}, a whole number from ${min} to ${max} is allowed`
    limits[name] = number
  }
  return limits
}

function isLimitName(name: string): name is LimitName {
  return Object.hasOwn(limitRanges, name)
}
