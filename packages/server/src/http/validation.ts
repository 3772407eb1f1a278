import { addressFault, limits, utf8Length } from '@posthaste/protocol'
import type { FastifySchemaValidationError } from 'fastify'
import { type Answer, invalidArgument } from './problem.ts'

/** The formats that schemas name, each with what it demands in words. */
const formats: Readonly<
  Record<string, { readonly isValid: (text: string) => boolean; readonly fault: (text: string) => string }>
> = {
  address: {
    isValid: (text) => addressFault(text) === undefined,
    fault: (text) => `is no address: ${addressFault(text) ?? ''}`,
  },
  'message-id': { isValid: isMessageId, fault: () => 'must be a decimal string of digits, from "1" to "18446744073709551615"' },
  unicode: { isValid: (text) => utf8Length(text) >= 0, fault: () => 'is not well-formed Unicode; send bytes as bodyBase64' },
  base64: { isValid: isBase64, fault: () => 'must be base64 (RFC 4648, section 4) with its padding' },
  instant: {
    isValid: (text) => instantMs(text) !== undefined,
    fault: () => 'must be an ISO 8601 time from 1970 on with a zone, like 2026-01-01T00:00:00Z, or ms since the epoch',
  },
}

/** What Ajv needs to know: texts are never turned into numbers, and what is not known is refused and not dropped. */
export const validatorOptions = {
  coerceTypes: false as const,
  removeAdditional: false,
  useDefaults: true,
  formats: Object.fromEntries(Object.entries(formats).map(([name, { isValid }]) => [name, isValid])),
}

/** Sentences about mistakes that are easily made; by field and what Ajv found. */
const hints: Readonly<Record<string, string>> = {
  'id required':
    'is missing. A send needs an id of its own choice: it is what lets the same call be repeated without a second message',
  'id type': 'must be a decimal string: as a JSON number, an id of 64 bits loses digits',
  'to oneOf': 'must be { "user": NAME } or { "group": NAME }',
  'to type': 'must be { "user": NAME } or { "group": NAME }',
  ' oneOf': 'give the body either as `body` (text) or as `bodyBase64` (bytes)',
  'validAfter anyOf': 'must be an ISO 8601 time from 1970 on with a zone, like 2026-01-01T00:00:00Z, or ms since the epoch',
}

/**
 * The answer to a request that does not fit its route's schema.
 * @param part where it was found: 'body', 'params' or 'querystring'
 * @param value that part of the request
 */
export function answerToInvalid(errors: readonly FastifySchemaValidationError[], part: string, value: unknown): Answer {
  // Of a choice that nothing fits, Ajv names every branch: a broken format says most, then that of the choice itself.
  const error = errors.find(({ keyword }) => keyword === 'format') ?? errors.at(-1)
  if (error === undefined) return invalidArgument('The request is not valid.')
  const path = error.instancePath.split('/').slice(1).map(unescapePointer)
  const { keyword, params } = error
  if (keyword === 'additionalProperties') {
    const field = [...path, String(params.additionalProperty)].join('.')
    return invalidArgument(`There is no ${part === 'querystring' ? 'query parameter' : 'field'} '${field}' here.`, field)
  }
  const field = (keyword === 'required' ? [...path, String(params.missingProperty)] : path).join('.')
  const said = hints[`${field} ${keyword}`] ?? ruleOf(error, valueAt(value, path))
  if (field === '') return invalidArgument(said.startsWith('must') ? 'A body of JSON is needed: an object.' : `Please ${said}.`)
  return invalidArgument(`${field} ${said}.`, field)
}

function ruleOf({ keyword, params, message }: FastifySchemaValidationError, value: unknown): string {
  if (keyword === 'required') return 'is missing'
  if (keyword === 'format') return formats[String(params.format)]?.fault(String(value)) ?? 'is ill-formed'
  if (keyword === 'enum' && Array.isArray(params.allowedValues)) return `must be one of: ${params.allowedValues.join(', ')}`
  return message ?? 'is not valid'
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  let inner = value
  for (const name of path) inner = typeof inner === 'object' && inner !== null ? Reflect.get(inner, name) : undefined
  return inner
}

/** A segment of a JSON Pointer (RFC 6901). */
function unescapePointer(segment: string): string {
  return segment.replaceAll('~1', '/').replaceAll('~0', '~')
}

/** Over HTTP, 0 is refused: such a message has no verdict that could be answered, and no protection against a retry. */
function isMessageId(text: string): boolean {
  return /^[0-9]{1,20}$/.test(text) && BigInt(text) >= 1n && BigInt(text) <= limits.idMax
}

function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text) && Buffer.from(text, 'base64').toString('base64') === text
}

/** The time that an ISO 8601 text with a zone names, in ms since the epoch; `undefined` when it names none. */
export function instantMs(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/.test(text)) return undefined
  const timeMs = Date.parse(text)
  const dayMs = Date.parse(`${text.slice(0, 10)}T00:00:00Z`)
  // What there is not, such as a 30th of February, would be taken for a later day.
  const isDay = !Number.isNaN(dayMs) && new Date(dayMs).toISOString().startsWith(text.slice(0, 10))
  return Number.isNaN(timeMs) || timeMs < 0 || !isDay ? undefined : timeMs
}
