import { statusByNumber } from '@posthaste/protocol'
import { Queries } from '@posthaste/core'
// What `npm run build` made: its second thread needs no loader.
import { Engine } from '../../packages/server/dist/engine.js'
import { createLogger } from '../../packages/server/dist/logging.js'
import { partsOf } from './history.ts'
import type { Told } from './recording.ts'

const logger = createLogger({ level: 'silent' })
const ranks: Readonly<Record<string, number>> = { sent: 1, delivered: 2, read: 3 }
const laneCount = 16

/** Opens what a power loss left with the real engine. @returns what is wrong with it, against what was told before the loss */
export async function imageFaults(dataDirectory: string, shards: number, told: readonly Told[]): Promise<string[]> {
  let engine: Engine
  try {
    engine = await Engine.open(dataDirectory, shards, logger, { bytes: 2 ** 40, ms: 2 ** 40 })
  } catch (error) {
    return [`[I12] it can't be opened: ${error instanceof Error ? error.stack : String(error)}`]
  }
  try {
    return faultsOf(engine, told)
  } catch (error) {
    return [`[I12] it can't be read: ${error instanceof Error ? error.stack : String(error)}`]
  } finally {
    await engine.close()
  }
}

/** A message as its log holds it. */
interface Entry {
  readonly lane: number
  readonly seq: number
  readonly sender: number
  readonly id: bigint
  readonly count: number
  readonly bytes: Uint8Array
}

function faultsOf(engine: Engine, told: readonly Told[]): string[] {
  const queries = new Queries(
    engine.stores.map(({ shard }) => shard),
    () => 0,
  )
  const faults: string[] = []
  const logs = new Map(['online', 'offline'].map((user) => [user, entriesOf(queries, user)]))
  for (const [user, entries] of logs) faults.push(...logFaults(queries, user, entries))
  const kept = new Map(
    [...logs].map(([user, entries]) => [user, new Map(entries.map((entry) => [`${entry.sender} ${entry.id}`, entry]))]),
  )
  for (const { text } of told) {
    const [status = '', ...rest] = text.split(' ')
    const body = rest.join(' ')
    const { sender, to, lane, id } = partsOf(body)
    const identity = queries.identityOf(0, sender)
    const state = queries.messageState(identity, { user: to }, BigInt(id))
    const found = statusByNumber(state.status)
    const entry = kept.get(to)?.get(`${identity} ${id}`)
    if ((ranks[found] ?? 0) < (ranks[status] ?? 9)) faults.push(`[I6] "${body}" was told ${status} and is ${found}`)
    else if (state.lane !== lane) faults.push(`[I6] "${body}" is in lane ${state.lane}`)
    else if (found === 'sent' && entry === undefined) faults.push(`[I1] "${body}" was told ${status} and is lost`)
    if (entry !== undefined && !Buffer.from(entry.bytes).includes(`${body} `)) faults.push(`[I12] "${body}" has other content`)
  }
  return faults
}

function entriesOf(queries: Queries, user: string): Entry[] {
  const identity = queries.identityOf(0, user)
  if (identity === 0) return []
  const rows = queries.stateOf(identity).entries.scan(identity, 0, undefined, Number.MAX_SAFE_INTEGER)
  return rows.map(([key, { sender, id, count, bytes }]) => {
    return { lane: key % laneCount, seq: Math.floor(key / laneCount), sender, id, count, bytes }
  })
}

/** No gap above what is trimmed, nothing twice, each sender's messages in its order. */
function logFaults(queries: Queries, user: string, entries: readonly Entry[]): string[] {
  const faults: string[] = []
  const identity = queries.identityOf(0, user)
  const log = identity === 0 ? undefined : queries.stateOf(identity).log(identity)
  const seen = new Set<string>()
  for (const [lane, place] of (log?.lanes ?? []).entries()) {
    const here = entries.filter((entry) => entry.lane === lane)
    const kept = here.filter(({ seq }) => place !== undefined && seq > place.trim).map(({ seq }) => seq)
    const wanted = place === undefined ? 0 : place.head - place.trim
    if (kept.length !== wanted || kept.some((seq, at) => seq !== (place?.trim ?? 0) + at + 1))
      faults.push(`[I3] lane ${lane} of ${user} has ${kept.length} entries from ${place?.trim} to ${place?.head}`)
    const last = new Map<number, Entry>()
    for (const entry of here) {
      const before = last.get(entry.sender)
      const name = `${entry.sender} ${entry.id}`
      if (seen.has(name)) faults.push(`[I2] ${name} is twice in the log of ${user}`)
      if (before !== undefined && (entry.id <= before.id || entry.count !== before.count + 1))
        faults.push(`[I4] ${name} of count ${entry.count} follows ${before.id} of count ${before.count} at ${user}`)
      seen.add(name)
      last.set(entry.sender, entry)
    }
  }
  return faults
}
