import { type Address, addressOf, codeOf, groupKind, limits, type Status, userKind } from '@posthaste/protocol'
import { type Answer, problem } from '../problem.ts'
import type { Call, JsonSchema, Route, Services } from '../route.ts'
import {
  destinationSchema,
  idSchema,
  maybeTimeOf,
  maybeTimeSchemas,
  nameSchema,
  objectSchema,
  timeOf,
  timeSchemas,
} from '../schemas.ts'
import { noUser } from './users.ts'

const priorityDefault = 8

/** The statuses of a message that is, or was, in the destination's log. Every other one says that it never came there. */
const acceptedStatuses: ReadonlySet<Status> = new Set<Status>(['sent', 'delivered', 'read', 'expired', 'removed', 'unknown'])
const rejections: readonly Status[] = [
  'invalid-destination',
  'inbox-full',
  'blocked',
  'not-member',
  'not-allowed',
  'too-large',
  'conflict',
  'invalid',
]

interface NewMessage {
  readonly from: string
  readonly to: Address
  readonly id: string
  readonly body?: string
  readonly bodyBase64?: string
  readonly type: number
  readonly priority: number
  readonly expirySeconds?: number
  readonly receipts: boolean
}

const messageSchema: JsonSchema = objectSchema(
  {
    from: nameSchema('The user who sends it; must exist.'),
    to: destinationSchema,
    id: idSchema,
    body: { type: 'string', format: 'unicode', description: 'The body as text, sent as UTF-8.' },
    bodyBase64: { type: 'string', format: 'base64', description: 'The body as bytes.' },
    type: { type: 'integer', minimum: 0, maximum: limits.typeMax, default: 0, description: 'Opaque to the server.' },
    priority: {
      type: 'integer',
      minimum: 0,
      maximum: limits.priorityMax,
      default: priorityDefault,
      description: '0 is the highest.',
    },
    expirySeconds: {
      type: 'integer',
      minimum: 1,
      maximum: limits.expirySeconds,
      description:
        'Within this time of its receipt by the server, a device must have stored it. By default 7 days, or what the server allows.',
    },
    receipts: { type: 'boolean', default: true, description: 'Whether the sender wants to know when it is delivered and read.' },
  },
  ['from', 'to', 'id'],
  { oneOf: [{ required: ['body'] }, { required: ['bodyBase64'] }] },
)

/** Sending as a user, and what became of it. */
export function messageRoutes(services: Services): readonly Route[] {
  return [sendRoute(services), statusRoute(services)]
}

function sendRoute({ operations }: Services): Route {
  return {
    method: 'POST',
    path: '/v1/messages',
    operation: 'sendMessage',
    summary: 'Send a message as a user',
    description:
      'Answers once the message is flushed to disk. Repeat the very same call, with the same id, until it is answered: until `retryUntil` ' +
      'it never sends twice, and a verdict stays as it is. 200 means that the message is or was in the log of the destination; its ' +
      'status may meanwhile be any of `sent`, `delivered`, `read`, `expired` and `removed`. A message that was rejected is a problem, with the verdict as its code.',
    body: messageSchema,
    answers: {
      200: {
        description: 'The message is accepted, now or before.',
        schema: objectSchema({
          status: { type: 'string' },
          ...timeSchemas('time', 'When the server received it.'),
          ...timeSchemas('retryUntil', 'Until when the same call may be repeated.'),
        }),
      },
    },
    problems: ['not-found', ...rejections, 'busy', 'disk-full', 'too-many-keys'],
    async handle({ body }: Call<never, NewMessage>) {
      const { from, to, id, type, priority, expirySeconds = undefined, receipts } = body
      const message = { to, id: BigInt(id), type, priority, expirySeconds, receipts, body: bytesOf(body) }
      const outcome = await operations.send(from, message)
      if (!outcome.isOk) return outcome.code === 'not-found' ? noUser(from, 'from') : problem(outcome.code)
      const { status, timeMs, retryUntilMs } = outcome.value
      if (!acceptedStatuses.has(status)) return rejection(status, to)
      return { status: 200, body: { status, ...timeOf('time', timeMs), ...timeOf('retryUntil', retryUntilMs) } }
    },
  }
}

function bytesOf({ body, bodyBase64 }: NewMessage): Uint8Array {
  return bodyBase64 === undefined ? Buffer.from(body ?? '', 'utf8') : Buffer.from(bodyBase64, 'base64')
}

/** The verdict of a message that was not accepted. The field is what would have to be another for another verdict. */
function rejection(status: Status, to: Address): Answer {
  switch (status) {
    case 'invalid-destination':
      return problem(status, 'user' in to ? `There is no user '${to.user}'.` : `There is no group '${to.group}'.`, 'to')
    case 'conflict':
      return problem(status, codeOf(status).text, 'id')
    case 'too-large':
      return problem(status, codeOf(status).text, 'body')
    case 'invalid':
      return problem(status, codeOf(status).text, 'expirySeconds')
    default:
      return problem(status)
  }
}

function statusRoute({ operations }: Services): Route {
  return {
    method: 'GET',
    path: '/v1/messages/:from/:kind/:to/:id',
    operation: 'getMessageStatus',
    summary: 'Get the status of a message',
    description: 'Also for messages sent through the SDK. A message that nobody knows any more has the status `unknown`.',
    params: {
      from: nameSchema('The sender.'),
      kind: { type: 'string', enum: ['user', 'group'] },
      to: nameSchema('The destination.'),
      id: idSchema,
    },
    answers: {
      200: {
        description: 'The status.',
        schema: objectSchema({
          status: { type: 'string' },
          ...maybeTimeSchemas('time', 'When the server received it; null when it is not known.'),
          ...maybeTimeSchemas('deadline', 'Until when a device must have stored it; null when it is not known.'),
          delivered: { type: 'integer', description: 'Members who have stored it; for a user 0 or 1.' },
          read: { type: 'integer', description: 'Members who have read it; for a user 0 or 1.' },
          members: {
            type: 'integer',
            description:
              'Members who had the right to receive it, without the sender; for a user 1; 0 when the status is `unknown`.',
          },
        }),
      },
    },
    problems: ['not-found'],
    handle({ params }: Call<'from' | 'kind' | 'to' | 'id'>) {
      const to = addressOf(params.kind === 'group' ? groupKind : userKind, params.to)
      const outcome = operations.messageStatus(params.from, to, BigInt(params.id))
      if (!outcome.isOk) {
        if (outcome.code !== 'not-found') return problem(outcome.code)
        if (operations.user(params.from) === undefined) return noUser(params.from, 'from')
        return problem('not-found', `There is no ${params.kind} '${params.to}'.`, 'to')
      }
      const { timeMs, deadlineMs, ...status } = outcome.value
      return { status: 200, body: { ...status, ...maybeTimeOf('time', timeMs), ...maybeTimeOf('deadline', deadlineMs) } }
    },
  }
}
