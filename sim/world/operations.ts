import type { Command } from '@posthaste/core'
import { codeByNumber, statusByNumber } from '@posthaste/protocol'
import type { Change } from '../history.ts'
import type { Step } from '../plan/plan.ts'
import { roleSets } from '../plan/stepKinds.ts'
import type { Simulation } from './simulation.ts'
import { appOf } from './deviceSlot.ts'
import { contentOf, destinationOf, slotOf } from './work.ts'
import { bodyOfContent } from '../history.ts'

/** Changes of users, groups and rights, by an operator over HTTP or by a user's client; false when the step is of another kind. */
export function performOperation(simulation: Simulation, step: Step): boolean {
  const { options } = simulation.plan
  const group = `g${step.group % Math.max(1, options.groups)}`
  const other = `u${step.other % options.users}`
  const user = `u${step.user % options.users}`
  const roles = roleSets[step.choice % roleSets.length] ?? 3
  switch (step.kind) {
    case 'groupCreate':
      if (options.groups > 0) change(simulation, step, { what: 'groupCreate', subject: group, object: user, roles: 7 })
      return true
    case 'groupDelete':
      if (options.groups > 0) change(simulation, step, { what: 'groupDelete', subject: group, object: '', roles: 0 })
      return true
    case 'memberSet':
      if (options.groups > 0) change(simulation, step, { what: 'memberSet', subject: group, object: other, roles })
      return true
    case 'leave':
      if (options.groups > 0) change(simulation, step, { what: 'memberSet', subject: group, object: user, roles: 0 })
      return true
    case 'block':
    case 'unblock':
      change(simulation, step, { what: 'block', subject: user, object: other, roles: step.kind === 'block' ? 1 : 0 })
      return true
    case 'userDelete':
    case 'userCreate':
      operate(simulation, { what: step.kind, subject: user, object: '', roles: 0 })
      return true
    case 'revoke':
      operate(simulation, { what: 'revoke', subject: user, object: '', roles: 0 })
      return true
    case 'submit':
    case 'submitAgain':
      submit(simulation, step)
      return true
    default:
      return false
  }
}

/** By the operator, or by the client of the step's user. */
function change(simulation: Simulation, step: Step, wanted: Change): void {
  const slot = slotOf(simulation, step)
  const app = appOf(slot, step.choice)
  if (step.isLucky || app === undefined) {
    operate(simulation, wanted)
    return
  }
  const { what, subject, object, roles } = wanted
  if (what === 'groupCreate' || what === 'groupDelete')
    app.change({ ...wanted, object: slot.user }, { kind: 'request', request: { kind: what, group: subject } })
  else if (what === 'memberSet')
    app.change(wanted, { kind: 'request', request: { kind: 'memberSet', group: subject, user: object, roles } })
  else if (what === 'block' && slot.user !== object)
    app.change(
      { ...wanted, subject: slot.user },
      { kind: 'request', request: { kind: 'block', user: object, isBlocked: roles === 1 } },
    )
}

/** As the HTTP API does it (`server/src/hostOperations.ts`). */
export function operate(simulation: Simulation, wanted: Change): void {
  const { server, recorder } = simulation
  if (server === undefined || !server.isUp) return
  const { host } = server
  const number = recorder.changeNumber()
  const { what, subject, object, roles } = wanted
  const command = (origin: { readonly tag: number; readonly ref: number }): Command | undefined => {
    switch (what) {
      case 'groupCreate':
        return { kind: 'groupCreate', ...origin, group: subject, by: 0, byName: '' }
      case 'groupDelete':
        return { kind: 'groupDelete', ...origin, group: subject, by: 0 }
      case 'memberSet':
        return { kind: 'memberSet', ...origin, group: subject, user: object, roles, by: 0 }
      case 'userCreate':
        return { kind: what, ...origin, user: subject }
      case 'userDelete':
      case 'revoke':
        return { kind: what, ...origin, user: subject, validAfterMs: Math.floor(host.nowMs) }
      case 'block': {
        const [by, target] = [host.queries.identityOf(0, subject), host.queries.identityOf(0, object)]
        const names = { user: by, target, targetName: object }
        return by === 0 || target === 0 || by === target
          ? undefined
          : { kind: 'block', ...origin, ...names, isBlocked: roles === 1 }
      }
      default:
        return what satisfies never
    }
  }
  if (command({ tag: 0, ref: 0 }) === undefined) return
  const changed = what === 'groupCreate' ? { ...wanted, object: '' } : wanted
  recorder.record({ kind: 'changeAsked', change: changed, number })
  const shard =
    what === 'groupCreate' || what === 'groupDelete'
      ? host.shardOf(1, subject)
      : host.shardOf(0, what === 'memberSet' ? object : subject)
  host.submit(
    (origin) => command(origin) ?? unwanted(),
    shard,
    (answer) => {
      if (answer.kind !== 'reply') return
      recorder.record({ kind: 'changeAnswered', number, code: answer.code === 0 ? '' : codeByNumber(answer.code).name })
    },
  )
  server.wake()
}

function unwanted(): never {
  throw new Error('the command was there before')
}

/** A message over HTTP. Again: one that some device of the user, or HTTP, has sent before. */
function submit(simulation: Simulation, step: Step): void {
  const { server, recorder } = simulation
  const user = `u${step.user % simulation.plan.options.users}`
  if (server === undefined || !server.isUp) return
  const { host } = server
  const sender = host.queries.identityOf(0, user)
  if (sender === 0 || host.busyCode() !== undefined) return
  const slot = slotOf(simulation, step)
  const note =
    step.kind === 'submitAgain' && slot.user === user ? slot.sent[step.choice % Math.max(1, slot.sent.length)] : undefined
  const content = note?.id !== undefined ? recorder.contentOf(note.content) : contentOf(simulation, step, user)
  const id = note?.id ?? BigInt(step.id || 1_000_000 + content.number)
  const body = bodyOfContent(content.number, content.bytes)
  const { toKind, to, type, priority, receipts } =
    note === undefined ? { ...content, ...destinationOf(simulation, step) } : content
  const isTooLarge = body.length > host.queries.stateOf(sender).settings.bodyBytes
  const deadlineMs = Math.floor(server.nowMs() + content.expirySeconds * 1_000)
  recorder.record({ kind: 'submitted', content: content.number, id: `${id}`, deadlineMs })
  const { epoch } = server
  host.submit(
    (origin) => ({
      kind: 'send',
      ...origin,
      sender,
      senderName: user,
      device: '',
      toKind,
      to,
      id,
      type,
      priority,
      deadlineMs,
      receipts,
      isTooLarge,
      hash: server.hash(type, priority, receipts, body),
      body: isTooLarge ? body.subarray(0, 0) : body,
    }),
    host.shardOf(toKind, to),
    (answer) => {
      if (answer.kind !== 'result') return
      const status = statusByNumber(answer.result.status)
      recorder.record({ kind: 'submitAnswered', content: content.number, id: `${id}`, status, epoch })
    },
  )
  server.wake()
}
