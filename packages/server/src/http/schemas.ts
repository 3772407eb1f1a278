import { limits } from '@posthaste/protocol'
import type { Page } from '../operations.ts'
import type { JsonSchema, Members } from './route.ts'

/** The parts that schemas are made of. Formats are defined in `validation.ts`. */

/** A user's or group's name. */
export function nameSchema(description: string): JsonSchema {
  const rule = `1 to ${limits.addressBytes} bytes of UTF-8, no control characters, not '.' or '..'.`
  return { type: 'string', format: 'address', description: `${description} ${rule}`, examples: ['alice'] }
}

/** An object that takes the members named, and no others. */
export function objectSchema(
  properties: Members,
  required: readonly string[] = Object.keys(properties),
  more: JsonSchema = {},
): JsonSchema {
  return { type: 'object', properties, required, additionalProperties: false, ...more }
}

const pageItemsDefault = 100
const pageItemsMax = 256

/** What asks for a page of a list. @param after what `after` is */
export function pageQuery(after: JsonSchema): Members {
  const limit = {
    type: 'integer',
    minimum: 1,
    maximum: pageItemsMax,
    default: pageItemsDefault,
    description: 'How many, at most.',
  }
  return { after, limit }
}

/** A page of a list. */
export function pageSchema(items: JsonSchema): JsonSchema {
  const next = { type: ['string', 'null'], description: '`after` of the next page; null on the last.' }
  return objectSchema({ items: { type: 'array', items }, next })
}

/** The answer with a page, each item as `itemOf` has it. */
export function pageBody<T>({ items, next }: Page<T>, itemOf: (item: T) => object): object {
  return { items: items.map(itemOf), next: next === '' ? null : next }
}

/** What `after` is in a list that goes by names. */
export const afterName = nameSchema('`next` of the page before; left out for the first page.')

/** A message's id. */
export const idSchema: JsonSchema = {
  type: 'string',
  format: 'message-id',
  description: 'A decimal string, 1 to 18446744073709551615.',
  examples: ['1767225600000000001'],
}

/** Where a message goes. */
export const destinationSchema: JsonSchema = {
  type: 'object',
  description: "`{ user: 'bob' }` or `{ group: 'team' }`.",
  oneOf: [objectSchema({ user: nameSchema('A user.') }), objectSchema({ group: nameSchema('A group.') })],
}

/** The names of the rights of a member, in the order of their bits. */
export const roleNames = ['send', 'receive', 'admin'] as const
/** The name of a right. */
export type RoleName = (typeof roleNames)[number]

/** A member's rights. */
export const rolesSchema: JsonSchema = {
  type: 'array',
  items: { type: 'string', enum: roleNames },
  minItems: 1,
  uniqueItems: true,
  description: 'What the member may do. DELETE removes a member.',
}

/** The names of rights that are bits. */
export function rolesOf(bits: number): readonly RoleName[] {
  return roleNames.filter((_, index) => (bits & (1 << index)) !== 0)
}

/** A time as text and as a number: the members `name` and `nameMs`. */
export function timeSchemas(name: string, description: string): Members {
  return {
    [name]: { type: 'string', format: 'date-time', description },
    [`${name}Ms`]: { type: 'integer', description: 'The same, in ms since the epoch.' },
  }
}

/** A time as text and as a number. */
export function timeOf<Name extends string>(name: Name, timeMs: number): Record<string, string | number> {
  return { [name]: new Date(timeMs).toISOString(), [`${name}Ms`]: timeMs }
}

/** A time that may not be known, as {@link timeSchemas} has it. */
export function maybeTimeSchemas(name: string, description: string): Members {
  return {
    [name]: { type: ['string', 'null'], format: 'date-time', description },
    [`${name}Ms`]: { type: ['integer', 'null'], description: 'The same, in ms since the epoch.' },
  }
}

/** A time as text and as a number; null for 0, which is none. */
export function maybeTimeOf<Name extends string>(name: Name, timeMs: number): Record<string, string | number | null> {
  return timeMs > 0 ? timeOf(name, timeMs) : { [name]: null, [`${name}Ms`]: null }
}

/** What {@link problem} makes. */
export const problemSchema: JsonSchema = {
  type: 'object',
  description: 'Problem details (RFC 9457).',
  properties: {
    type: { type: 'string', format: 'uri-reference', description: 'The path of the help page of the code.' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    code: { type: 'string', description: 'Stable; the one thing to decide by.' },
    field: { type: 'string', description: 'The argument at fault.' },
    retryable: { type: 'boolean', description: 'Whether the same call may succeed later; Retry-After says when.' },
  },
  required: ['type', 'title', 'status', 'detail', 'code', 'retryable'],
}
