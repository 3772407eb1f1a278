import type { Content } from '../history.ts'
import type { Step } from '../plan/plan.ts'
import type { Simulation } from './simulation.ts'
import type { App } from './app.ts'
import { appOf, type DeviceSlot } from './deviceSlot.ts'
import type { SentNote } from './slot.ts'

/** More than come in a row from one lane while others wait. */
const floodMin = 68

/** The slot that a step names. */
export function slotOf(simulation: Simulation, step: Step): DeviceSlot {
  const { options } = simulation.plan
  const at = (step.user % options.users) * options.devices + (step.device % options.devices)
  // A clone takes the place of its origin now and then.
  const extra = simulation.slots.length - options.users * options.devices
  const slot = extra > 0 && step.choice % 7 === 0 ? simulation.slots.at(-1) : simulation.slots[at]
  if (slot === undefined) throw new RangeError('no such device')
  return slot
}

/** What a step's message goes to. */
export function destinationOf(simulation: Simulation, step: Step): { readonly toKind: 0 | 1; readonly to: string } {
  const { options } = simulation.plan
  if (step.isGroup && options.groups > 0) return { toKind: 1, to: `g${step.group % options.groups}` }
  return { toKind: 0, to: `u${step.other % options.users}` }
}

/** A new message, as the step describes it. */
export function contentOf(simulation: Simulation, step: Step, user: string): Content {
  const { lane: priority, receipts, bytes, expirySeconds } = step
  const type = step.choice % 3
  return simulation.recorder.content({ user, ...destinationOf(simulation, step), type, priority, receipts, expirySeconds, bytes })
}

/** What an app does with its client; false when the step is of another kind. */
export function performWork(simulation: Simulation, step: Step): boolean {
  const slot = slotOf(simulation, step)
  const app = appOf(slot, step.choice)
  const isUp = app !== undefined
  switch (step.kind) {
    case 'send':
      if (isUp) app.send(contentOf(simulation, step, slot.user), idOf(step))
      return true
    case 'burst':
      for (let count = 0; isUp && count < 2 + (step.choice % 9); count++)
        app.send(contentOf(simulation, step, slot.user), undefined)
      return true
    case 'flood':
      for (let count = 0; isUp && count < floodMin + (step.choice % 20); count++)
        app.send(contentOf(simulation, step, slot.user), undefined)
      return true
    case 'sendAgain':
    case 'sendOther':
      if (isUp) again(simulation, step, slot, app)
      return true
    case 'sendOnce':
      if (isUp) app.sendOnce(contentOf(simulation, step, slot.user))
      return true
    case 'realtime':
      if (isUp) app.realtime(contentOf(simulation, step, slot.user))
      return true
    case 'typing': {
      const { toKind, to } = destinationOf(simulation, step)
      if (isUp) app.typing(toKind, to, step.choice % 3 > 0)
      return true
    }
    case 'watch':
      if (isUp) app.watch(`u${step.other % simulation.plan.options.users}`, step.choice % 4 > 0)
      return true
    case 'markRead':
      if (isUp) markRead(simulation, step, slot, app)
      return true
    case 'cancel':
    case 'retry':
      if (isUp) takeBack(simulation, step, slot, app)
      return true
    case 'stopReceiving':
      if (isUp && app.isReceiving) app.stop()
      return true
    case 'receive':
      if (isUp) app.receive()
      return true
    default:
      return false
  }
}

function idOf({ id }: Step): bigint | undefined {
  return id === 0 ? undefined : BigInt(id)
}

function chosen(slot: DeviceSlot, step: Step): SentNote | undefined {
  return slot.sent[slot.sent.length - 1 - (step.choice % Math.max(1, Math.min(8, slot.sent.length)))]
}

/** The same id again: with the same content, or with another one. */
function again(simulation: Simulation, step: Step, slot: DeviceSlot, app: App): void {
  const note = chosen(slot, step)
  if (note?.id === undefined) return
  const before = simulation.recorder.contentOf(note.content)
  const { number: _number, ...content } = before
  const other = (): Content => simulation.recorder.content({ ...content, bytes: content.bytes + 1 + (step.choice % 5) })
  app.send(step.kind === 'sendAgain' ? before : other(), note.id)
}

function markRead(simulation: Simulation, step: Step, slot: DeviceSlot, app: App): void {
  const note = slot.got[slot.got.length - 1 - (step.choice % Math.max(1, slot.got.length))]
  if (note === undefined) return
  const { position, sender, count } = note
  simulation.recorder.record({ kind: 'readAsked', store: slot.store.number, ...position, sender, count })
  app.ask({ kind: 'markRead', position, sender, count })
}

function takeBack(simulation: Simulation, step: Step, slot: DeviceSlot, app: App): void {
  const note = chosen(slot, step)
  if (note?.id === undefined) return
  const { id, content } = note
  const { toKind, to } = simulation.recorder.contentOf(content)
  const kind = step.kind === 'cancel' ? 'cancel' : 'retry'
  app.ask({ kind, toKind, to, id }, (answer) => {
    if (answer.kind !== 'cancelled' || !answer.isCancelled) return
    simulation.recorder.record({ kind: 'cancelled', store: slot.store.number, content })
  })
}
