import { type ConnectionFacts, connectionsOf, type Write } from './connections.ts'
import type { Facts } from './facts.ts'
import type { Violation } from './violation.ts'

/** After so many in a row from above a lower lane gets one. */
const runMax = 64

/**
 * I7, as the network shows it. On one connection an entry certainly waits from when three things are so: it has its place in the log (its sender
 * was told, or it was written to another connection), the connection reads that log (its user's own, or one of which something came on it
 * already), and all before it in its lane has been written, which is so since each lane comes without gaps.
 */
export function checkPriorities(facts: Facts): Violation[] {
  return connectionsOf(facts).flatMap((connection) => {
    const streams = streamsOf(facts, connection)
    return [...checkLanes(connection, streams), ...checkStarvation(connection, streams), ...checkTurns(connection, streams)]
  })
}

/** One lane of one log on one connection: what was written of it, and since when the next of it may wait. */
interface Stream {
  readonly lane: number
  readonly writes: readonly Write[]
  /** From this write of the connection on the log is read for certain. */
  readonly readFrom: number
}

function streamsOf(facts: Facts, { writes }: ConnectionFacts): Stream[] {
  const found = new Map<string, { lane: number; writes: Write[]; readFrom: number }>()
  const logs = new Map<number, number>()
  for (const [place, write] of writes.entries()) {
    const { log, lane, isEcho, content, isEntry } = write.event
    const isOwn = isEntry && (isEcho || facts.content(content)?.toKind === 0)
    logs.set(log, isOwn ? -1 : (logs.get(log) ?? place))
    const key = `${log} ${lane}`
    const stream = found.get(key)
    if (stream === undefined) found.set(key, { lane, writes: [write], readFrom: 0 })
    else stream.writes.push(write)
  }
  return [...found].map(([key, stream]) => ({ ...stream, readFrom: logs.get(Number(key.split(' ')[0])) ?? 0 }))
}

/** The write of a stream that follows a place in the history, if it is an entry. */
function nextOf({ writes }: Stream, at: number): Write | undefined {
  const next = writes.find((write) => write.at > at)
  return next?.event.isEntry === true ? next : undefined
}

/** A lower lane goes first only after a run of 64 from above, and once. */
function checkLanes({ writes }: ConnectionFacts, streams: readonly Stream[]): Violation[] {
  const violations: Violation[] = []
  if (new Set(streams.map(({ lane }) => lane)).size < 2) return violations
  let sinceLower = 0
  for (const [place, write] of writes.entries()) {
    const { event, at } = write
    const above = streams.filter(({ lane, readFrom }) => lane < event.lane && readFrom < place)
    const waiting = above.map((stream) => nextOf(stream, at)).find((next) => next !== undefined && next.knownAt < at)
    if (waiting === undefined) {
      sinceLower += 1
      continue
    }
    if (sinceLower < runMax) {
      const text = `lane ${event.lane} went first while an entry of lane ${waiting.event.lane} waited`
      violations.push({ invariant: 'I7', text, proof: [event, waiting.event] })
    }
    sinceLower = 0
  }
  return violations
}

/** No more than 64 in a row come from one lane while a lower one waits; one more where a run ends as another begins. */
function checkStarvation({ writes }: ConnectionFacts, streams: readonly Stream[]): Violation[] {
  if (writes.length <= runMax) return []
  const places = new Map(writes.map((write, place) => [write, place]))
  return streams.flatMap((stream) =>
    stream.writes.flatMap((write): Violation[] => {
      const first = writes[Math.max(0, (places.get(write) ?? 0) - runMax - 2)]
      const run = writes.slice(Math.max(0, (places.get(write) ?? 0) - runMax - 2), places.get(write))
      const lane = first?.event.lane ?? stream.lane
      const isRun = run.length === runMax + 2 && lane < stream.lane && run.every(({ event }) => event.lane === lane)
      const isWaiting = isCertain(stream, write, first, places)
      if (!isRun || !isWaiting || first === undefined) return []
      const text = `lane ${stream.lane} waited while more than ${runMax} in a row came from lane ${lane}`
      return [{ invariant: 'I7', text, proof: [first.event, write.event] }]
    }),
  )
}

/** Whether an entry waited when an earlier one was written. */
function isCertain(stream: Stream, write: Write, earlier: Write | undefined, places: ReadonlyMap<Write, number>): boolean {
  if (earlier === undefined || !write.event.isEntry || write.knownAt >= earlier.at) return false
  return stream.readFrom < (places.get(earlier) ?? 0) && nextOf(stream, earlier.at) === write
}

/** Within a lane no log comes twice while another one waits. */
function checkTurns({ writes }: ConnectionFacts, streams: readonly Stream[]): Violation[] {
  const violations: Violation[] = []
  const places = new Map(writes.map((write, place) => [write, place]))
  for (const stream of streams) {
    for (const other of streams) {
      if (other === stream || other.lane !== stream.lane) continue
      for (const write of stream.writes) {
        const [first, second] = lastTwo(other, write)
        if (first === undefined || second === undefined || !isCertain(stream, write, first, places)) continue
        const text = `a log came twice in lane ${stream.lane} while another one waited`
        violations.push({ invariant: 'I7', text, proof: [first.event, second.event, write.event] })
      }
    }
  }
  return violations
}

function lastTwo({ writes }: Stream, { at }: Write): readonly (Write | undefined)[] {
  const before = writes.filter((write) => write.at < at)
  return [before.at(-2), before.at(-1)]
}
