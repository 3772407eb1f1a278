import { compareBytes, keyGraceMs, keyTableNumber, type Shard, type TableRow } from '@posthaste/core'
import type { SimTables } from '../world/simTables.ts'
import type { Simulation } from '../world/simulation.ts'
import type { Violation } from './violation.ts'

/** A checkpoint that is under way ends within this. */
const waitsMax = 1_000
const waitMs = 5

/** I11 and I12: all records from nothing, and the tail over the last checkpoint, give the rows that the running server has, byte by byte. */
export function checkReplay(simulation: Simulation): Violation[] {
  const { server, disk, world } = simulation
  if (server === undefined) return []
  for (let wait = 0; wait < waitsMax && (server.isCheckpointing || !server.host.isIdle); wait++)
    world.run(world.nowMs + waitMs, Number.POSITIVE_INFINITY)
  if (simulation.server !== server || server.isCheckpointing || !server.host.isIdle) return []
  const violations: Violation[] = []
  const fromNothing = simulation.replayed()
  for (const [index, live] of server.shards.entries()) {
    const replayed = fromNothing[index]
    const tables = disk.stores[index]?.tables
    if (replayed === undefined || tables === undefined) continue
    const difference = differenceOf(rowsOf(live, tables), rowsOf(replayed, replayed.state.generations.tables as SimTables), live)
    if (difference !== undefined)
      violations.push({
        invariant: 'I11',
        text: `shard ${index} differs from the replay of its journal: ${difference}`,
        proof: [],
      })
  }
  return violations
}

/** The rows of a shard as a checkpoint at this moment would leave them. */
function rowsOf(shard: Shard, tables: SimTables): readonly TableRow[] {
  const { generations } = shard.state
  generations.freeze()
  const checkpoint = tables.beginCheckpoint()
  for (const _ of generations.write(checkpoint, 1_000));
  const before = tables.rows
  checkpoint.commitNow()
  const { rows } = tables.rows
  tables.rows = before
  return rows
}

function differenceOf(left: readonly TableRow[], right: readonly TableRow[], shard: Shard): string | undefined {
  const wanted = left.filter((row) => !isPastKey(row, shard))
  const found = right.filter((row) => !isPastKey(row, shard))
  for (let at = 0; at < Math.max(wanted.length, found.length); at++) {
    const one = wanted[at]
    const other = found[at]
    if (one === undefined || other === undefined) return `${wanted.length} rows, and ${found.length}`
    if (compareBytes(one[0], other[0]) !== 0) return `a row of table ${one[0][0]} and one of table ${other[0][0]} at place ${at}`
    if (compareBytes(one[1], other[1]) !== 0) return `a row of table ${one[0][0]}: ${hex(one[1])} and ${hex(other[1])}`
  }
  return undefined
}

/** Keys past their time may be swept at any time: they count as absent. */
function isPastKey([key, value]: TableRow, shard: Shard): boolean {
  if (key[0] !== keyTableNumber) return false
  return shard.state.keys.decode(value).deadlineMs + keyGraceMs <= shard.state.clockMs
}

function hex(bytes: Uint8Array): string {
  return [...bytes.subarray(0, 200)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
