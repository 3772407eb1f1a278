import { type Note, partsOf } from './history.ts'

/** Everything that one sender noted. */
export interface SenderHistory {
  readonly name: string
  readonly notes: readonly Note[]
}

/** Everything that one device noted, and what its store held in the end. */
export interface DeviceHistory {
  readonly name: string
  /** Whose messages it gets: its user's name and the groups that the user is in. */
  readonly destinations: readonly string[]
  readonly notes: readonly Note[]
  /** The keys of all that its store says it has stored. */
  readonly storedKeys: readonly string[]
  /** How many messages wait in its inbox for a handler. */
  readonly inboxCount: number
}

/** What the judge counted. */
export interface Verdict {
  /** Each begins with the invariant that it breaks. */
  readonly faults: readonly string[]
  readonly acknowledged: number
  readonly handled: number
  readonly redelivered: number
  readonly conflicts: number
}

const ranks: Readonly<Record<string, number>> = { outbox: 0, sent: 1, delivered: 3, read: 4 }

interface Sent {
  readonly to: string
  readonly lane: number
  rank: number
  isWritten: boolean
  isImpostorTried: boolean
  isConflictTold: boolean
}

/** Judges from outside: what senders were told and devices got, never what the server holds. All is quiet when it is called. */
export function judge(senders: readonly SenderHistory[], devices: readonly DeviceHistory[]): Verdict {
  const faults: string[] = []
  const sent = new Map(senders.map(({ name, notes }) => [name, sentBy(name, notes, faults)]))
  let handled = 0
  let redelivered = 0
  for (const device of devices) {
    const received = new DeviceJudge(device, sent, faults)
    handled += received.bodies.size
    redelivered += received.redelivered
    for (const [name, messages] of sent) judgeLoss(name, messages, device, received.bodies, faults)
  }
  let acknowledged = 0
  let conflicts = 0
  for (const messages of sent.values()) {
    for (const message of messages.values()) {
      if (message.rank >= 1) acknowledged += 1
      if (message.isConflictTold) conflicts += 1
    }
  }
  return { faults, acknowledged, handled, redelivered, conflicts }
}

function sentBy(name: string, notes: readonly Note[], faults: string[]): Map<number, Sent> {
  const messages = new Map<number, Sent>()
  for (const note of notes) {
    if (note[0] === 'attempt') {
      const [, id, to, lane] = note
      messages.set(id, { to, lane, rank: 0, isWritten: false, isImpostorTried: false, isConflictTold: false })
    } else if (note[0] === 'written') {
      for (let id = note[1]; id <= note[2]; id++) {
        const message = messages.get(id)
        if (message !== undefined) message.isWritten = true
      }
    } else if (note[0] === 'impostor') {
      const message = messages.get(note[1])
      if (message !== undefined) message.isImpostorTried = true
    } else if (note[0] === 'status') judgeStatus(name, note[1], note[2], messages.get(note[1]), faults)
  }
  return messages
}

function judgeStatus(name: string, id: number, status: string, message: Sent | undefined, faults: string[]): void {
  if (message === undefined) faults.push(`[I6] ${name} was told ${status} of ${id}, which it never sent`)
  else if (status === 'conflict') {
    if (!message.isImpostorTried) faults.push(`[I8] ${name} was told conflict of ${id}, which was used once`)
    message.isConflictTold = true
  } else {
    const rank = ranks[status]
    if (rank === undefined) faults.push(`[I1] ${name} was told ${status} of ${id}`)
    else if (rank < message.rank) faults.push(`[I6] the status of ${id} from ${name} fell to ${status}`)
    else message.rank = rank
  }
}

/** What was told sent, and what was safe in an outbox, must be in the store of every device of its destination. */
function judgeLoss(
  name: string,
  messages: ReadonlyMap<number, Sent>,
  device: DeviceHistory,
  bodies: ReadonlySet<string>,
  faults: string[],
): void {
  for (const [id, message] of messages) {
    if (!device.destinations.includes(message.to) || bodies.has(`${name} ${id}`)) continue
    if (message.rank >= 1) faults.push(`[I1] ${id} from ${name} was told sent and is lost at ${device.name}`)
    else if (message.isWritten) faults.push(`[I1] ${id} from ${name} was in its outbox and never came to ${device.name}`)
  }
}

/** What one device got, compared with what was sent. */
class DeviceJudge {
  /** `sender id` of all that its handler got. */
  readonly bodies = new Set<string>()
  redelivered = 0
  readonly #device: DeviceHistory
  readonly #faults: string[]
  /** In which run of the process a key was handled last. */
  readonly #runs = new Map<string, number>()
  readonly #lastIds = new Map<string, number>()

  constructor(device: DeviceHistory, sent: ReadonlyMap<string, ReadonlyMap<number, Sent>>, faults: string[]) {
    this.#device = device
    this.#faults = faults
    let run = 0
    for (const note of device.notes) {
      if (note[0] === 'run') run = note[1]
      if (note[0] === 'handled') this.#handled(note[1], note[2], note[3], note[4], run, sent)
    }
    this.#compareStore()
  }

  #handled(
    key: string,
    body: string,
    lane: number,
    isRedelivered: boolean,
    run: number,
    sent: ReadonlyMap<string, ReadonlyMap<number, Sent>>,
  ): void {
    const { sender, to, id } = partsOf(body)
    const message = sent.get(sender)?.get(id)
    const place = `at ${this.#device.name}`
    if (message === undefined || message.to !== to || message.lane !== lane || !this.#device.destinations.includes(to))
      return this.#fault(`[I2] "${body}" in lane ${lane} ${place} is invented`)
    const runBefore = this.#runs.get(key)
    this.#runs.set(key, run)
    if (isRedelivered) this.redelivered += 1
    if (runBefore !== undefined) {
      // A handler that was running when its process died is called again, and told so.
      if (!isRedelivered || runBefore >= run) this.#fault(`[I2] ${id} from ${sender} came twice ${place}`)
      return
    }
    const name = `${sender} ${id}`
    if (this.bodies.has(name)) this.#fault(`[I2] ${id} from ${sender} came twice ${place}, under two keys`)
    this.bodies.add(name)
    const from = `${sender} ${to} ${lane}`
    const lastId = this.#lastIds.get(from) ?? 0
    if (id < lastId) this.#fault(`[I4] ${id} from ${sender} in lane ${lane} came after ${lastId} ${place}`)
    this.#lastIds.set(from, Math.max(id, lastId))
  }

  #compareStore(): void {
    const { name, storedKeys, inboxCount } = this.#device
    const stored = new Set(storedKeys)
    for (const key of this.#runs.keys())
      if (!stored.has(key)) this.#fault(`[I1] ${key} was handled and is not in the store of ${name}`)
    for (const key of stored)
      if (!this.#runs.has(key)) this.#fault(`[I1] ${key} is in the store of ${name} and was never handled`)
    if (inboxCount > 0) this.#fault(`[I1] ${inboxCount} messages wait in the inbox of ${name}`)
  }

  #fault(text: string): void {
    this.#faults.push(text)
  }
}
