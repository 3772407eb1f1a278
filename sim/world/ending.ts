import { operate } from './operations.ts'
import type { SimOptions } from '../plan/options.ts'
import type { Simulation } from './simulation.ts'
import type { App } from './app.ts'
import { appOf, type DeviceSlot, machineOf } from './deviceSlot.ts'
import type { Page } from './page.ts'

/** In simulated time: how long everything may take to come to rest once nothing fails any more. */
const restMsMax = 900_000
const lookEveryMs = 1_000
/** What was told late, such as counts and folded acknowledgements, and how often it goes over the network: entry, acknowledgement, mark. */
const graceMs = 3_000
const graceTrips = 3
const probeSeconds = 3_600
/** How many messages of each kind are sent to a device that reads nothing. */
const besideMessages = 4
/** A group that only the end of a schedule knows. */
const lastGroup = 'last'

/** Mends everything, and keeps it so. */
export function heal(simulation: Simulation): void {
  const { world, disk, plan } = simulation
  simulation.isHealed = true
  world.clearTraps()
  disk.isFailing = false
  disk.isNearlyFull = false
  disk.flushMsMax = plan.options.flushMsMax
  simulation.failingTokens = 0
  simulation.startServer(false, 0)
  const seen = new Set<string>()
  for (const slot of simulation.slots) {
    slot.route.heal()
    slot.isSlow = false
    const process = machineOf(slot)
    if (process !== undefined) process.failingCommits = 0
    // Two that share a device id would replace each other for ever.
    const isSecond = slot.isClone && seen.has(slot.user)
    if (slot.isClone) seen.add(slot.user)
    if (isSecond) {
      simulation.crashDevice(slot, false, undefined)
      slot.isOff = true
    }
    simulation.startDevice(slot)
  }
  world.trace.note(world.nowMs, 'world', 'is healed')
  simulation.recorder.record({ kind: 'healed' })
}

/** What keeps things from being at rest; nothing once they are. */
function unrest(simulation: Simulation): string[] {
  const found: string[] = []
  const { server } = simulation
  if (server === undefined || !server.isUp) return ['the server is down']
  if (!server.host.isIdle) found.push('the server has records under way')
  for (const slot of simulation.slots) if (!slot.isOff) found.push(...unrestOf(slot))
  return found
}

function unrestOf(slot: DeviceSlot): string[] {
  const { profile, name } = slot
  const process = machineOf(slot)
  const app = profile === undefined ? slot.app : profile.leader?.app
  if (process === undefined || app === undefined) return [`${name} is down`]
  const { connection } = process
  if (connection.status !== 'live') return [`${name} is ${connection.status}`]
  // A client learns of a half-open connection only when nothing comes for too long.
  if (process.link?.isWhole !== true) return [`${name} has a connection that nobody answers`]
  const found = profile === undefined ? [] : profile.pages.flatMap((page) => unrestOfPage(page, process.parts.run))
  let pending = -1
  app.ask({ kind: 'pending' }, (answer) => {
    if (answer.kind === 'pending') pending = answer.pending.messages
  })
  if (pending !== 0) found.push(`${name} has ${pending} messages without an answer`)
  for (const one of appsOf(slot)) {
    if (one.running > 0) found.push(`${name} has handlers that run`)
    if (!one.isReceiving) one.receive()
  }
  const waiting = slot.store.scan(Uint8Array.of(4), Uint8Array.of(5), 1_000).length
  if (waiting > 0) found.push(`${name} has ${waiting} messages that no handler took`)
  return found
}

function appsOf({ profile, app }: DeviceSlot): readonly App[] {
  if (profile !== undefined) return profile.pages.map((page) => page.app)
  return app === undefined ? [] : [app]
}

/** Each page takes part, and has been answered: by the machine that runs now, too. */
function unrestOfPage(page: Page, run: number): string[] {
  const { id, connection, hasEnded, isFrozen, app } = page
  if (isFrozen) return [`${id} is frozen`]
  if (hasEnded || connection.status !== 'live') return [`${id} is ${connection.status}`]
  if (!page.isAnsweredBy(run)) return [`${id} is not answered by its leader`]
  return app.unanswered > 0 ? [`${id} has ${app.unanswered} calls without an answer`] : []
}

/** Waits until everything has come to rest. @returns what has not, in time */
function rest(simulation: Simulation, stepsMax: number): string[] {
  const { world } = simulation
  const endMs = world.nowMs + restMsMax
  for (;;) {
    const found = unrest(simulation)
    if (found.length === 0) {
      const [, latencyMsMax] = simulation.plan.options.latencyMs
      world.run(world.nowMs + graceMs + graceTrips * latencyMsMax, stepsMax)
      if (unrest(simulation).length === 0) return []
      continue
    }
    if (world.nowMs >= endMs) return found
    // Set aside is what its handler could not take: it is handed over again now.
    for (const slot of simulation.slots) retrySetAside(slot)
    world.run(world.nowMs + lookEveryMs, stepsMax)
  }
}

function retrySetAside(slot: DeviceSlot): void {
  const process = machineOf(slot)
  const app = slot.profile === undefined ? slot.app : slot.profile.leader?.app
  if (app === undefined || process === undefined || process.connection.status !== 'live') return
  app.ask({ kind: 'listSetAside' }, (answer) => {
    if (answer.kind !== 'setAside') return
    for (const { position } of answer.entries) app.ask({ kind: 'setAside', action: 'retry', position })
  })
}

/**
 * Heals, waits for rest, has everything done once more that must work now, and waits again: a group is made with all users in it, and each
 * writes to the next and to the group. @returns what never came to rest
 */
export function end(simulation: Simulation, stepsMax: number): string[] {
  heal(simulation)
  const first = rest(simulation, stepsMax)
  if (first.length > 0) return first
  const { world, plan } = simulation
  simulation.recorder.record({ kind: 'rested' })
  const users = [...new Set(simulation.slots.map(({ user }) => user))]
  operate(simulation, { what: 'groupCreate', subject: lastGroup, object: '', roles: 7 })
  world.run(world.nowMs + lookEveryMs, stepsMax)
  for (const user of users) operate(simulation, { what: 'memberSet', subject: lastGroup, object: user, roles: 7 })
  world.run(world.nowMs + lookEveryMs, stepsMax)
  const neighbour = plan.options.hasNeighbour ? stopReading(simulation) : undefined
  for (const [at, user] of users.entries()) {
    probe(simulation, user, 0, users[(at + 1) % users.length] ?? user)
    probe(simulation, user, 1, lastGroup)
  }
  world.run(world.nowMs + lookEveryMs, stepsMax)
  if (neighbour !== undefined) {
    world.run(world.nowMs + besideMs(plan.options), stepsMax)
    simulation.recorder.record({ kind: 'neighbourEnded' })
    neighbour.route.heal()
  }
  const last = rest(simulation, stepsMax)
  if (last.length > 0 || simulation.clockBehindMs === 0) return last
  return catchUp(simulation, stepsMax)
}

/**
 * What a device took for late before the server's clock went back is late in the end, once that clock shows it again; devices take for late
 * what may be so.
 */
function catchUp(simulation: Simulation, stepsMax: number): string[] {
  const { world, plan, recorder, server } = simulation
  world.run(world.nowMs + simulation.clockBehindMs + plan.options.latencyMs[1], stepsMax)
  recorder.record({ kind: 'caughtUp', serverMs: server?.clock(world.nowMs) ?? 0 })
  return rest(simulation, stepsMax)
}

/** One device reads nothing any more, and its user is sent much, at once and to be kept. */
function stopReading(simulation: Simulation): DeviceSlot | undefined {
  const { recorder, random, slots } = simulation
  const live = slots.filter(({ isOff }) => !isOff)
  const neighbour = live[random.stream('neighbour').below(live.length)]
  const sender = live.find(({ user }) => user !== neighbour?.user)
  const app = sender === undefined ? undefined : appOf(sender, 0)
  if (neighbour === undefined || sender === undefined || app === undefined) return undefined
  neighbour.route.isSlow = true
  recorder.record({ kind: 'neighbourBegan', store: neighbour.store.number })
  const { user } = sender
  const content = { user, toKind: 0, to: neighbour.user, type: 9, priority: 0, receipts: true, bytes: 200 } as const
  for (let count = 0; count < besideMessages; count++) {
    app.send(recorder.content({ ...content, expirySeconds: probeSeconds }), undefined)
    app.realtime(recorder.content({ ...content, expirySeconds: 0 }))
  }
  return neighbour
}

/** How long others may take beside it: commits, flushes, ways and handlers, each as often as a message can wait for one. */
function besideMs({ storeMsMax, flushMsMax, latencyMs: [, latencyMsMax], handlerMsMax, users, hasTabs }: SimOptions): number {
  return (hasTabs ? 2_000 : 1_000) + 6 * storeMsMax + 8 * flushMsMax + 4 * latencyMsMax + (users + besideMessages) * handlerMsMax
}

function probe(simulation: Simulation, user: string, toKind: 0 | 1, to: string): void {
  const slot = simulation.slots.find((one) => one.user === user && machineOf(one)?.connection.status === 'live')
  const content = { user, toKind, to, type: 9, priority: 8, receipts: true, expirySeconds: probeSeconds, bytes: 8 }
  const app = slot === undefined ? undefined : appOf(slot, 0)
  app?.send(simulation.recorder.content(content), undefined)
}
