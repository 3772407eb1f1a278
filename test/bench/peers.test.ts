import { describe, expect, test } from 'vitest'
import type { PeerRun } from '../../bench/peers/measure.ts'
import { type Outcome, outcomeOf, type PeersReport } from '../../bench/peers/outcome.ts'
import type { Peer } from '../../bench/peers/peer.ts'
import { PeerPair } from '../../bench/peers/peerPair.ts'
import { missedTargets, peerTables } from '../../bench/peers/tables.ts'

const bodyBytes = 200

function startedPair(window: number): { pair: PeerPair; sent: [number, number][] } {
  const sent: [number, number][] = []
  const pair = new PeerPair(window, bodyBytes, (first, count) => sent.push([first, count]))
  pair.start()
  return { pair, sent }
}

describe('a pair of the comparison with peers', () => {
  test('keeps its window full: a place is free once its message is confirmed, whether it came or not', () => {
    const { pair, sent } = startedPair(5)
    pair.arrived(1, bodyBytes)
    pair.end()
    expect(sent).toEqual([[1, 5]])
    pair.confirmed(2)
    pair.end()
    expect(sent).toEqual([
      [1, 5],
      [6, 2],
    ])
  })

  test.each([
    { came: [1, 2, 3, 4], received: 4, missing: 0, duplicates: 0, outOfOrder: 0 },
    { came: [1, 2, 2, 3, 4, 1], received: 4, missing: 0, duplicates: 2, outOfOrder: 0 },
    { came: [1, 3, 2, 4], received: 4, missing: 0, duplicates: 0, outOfOrder: 1 },
    { came: [4, 1, 1], received: 2, missing: 2, duplicates: 1, outOfOrder: 1 },
    { came: [1, 3], received: 2, missing: 2, duplicates: 0, outOfOrder: 0 },
  ])(
    'of four confirmed messages $came come: $missing missing, $duplicates twice, $outOfOrder out of order',
    ({ came, ...counts }) => {
      const { pair } = startedPair(4)
      pair.confirmed(4)
      for (const number of came) pair.arrived(number, bodyBytes)
      const { received, missing, duplicates, outOfOrder } = pair
      expect({ received, missing, duplicates, outOfOrder }).toEqual(counts)
    },
  )

  test('is done when it sends nothing new and all is confirmed and came', () => {
    const { pair } = startedPair(1)
    pair.confirmed(1)
    pair.arrived(1, bodyBytes)
    expect(pair.isDone).toBe(false)
    pair.stop()
    expect(pair.isDone).toBe(true)
  })

  test('refuses a body that it did not send', () => {
    const { pair } = startedPair(1)
    expect(() => pair.arrived(2, bodyBytes)).toThrow('nobody sent')
    expect(() => pair.arrived(1, bodyBytes - 1)).toThrow('nobody sent')
  })
})

describe('a comparison', () => {
  test('takes the median of speeds and the sum of what went wrong', () => {
    const { median, total } = outcome('redis', [run(10), run(30, { lost: 1 }), run(20, { lost: 2, duplicates: 3 })])
    expect(median?.perSecond).toBe(20)
    expect(total).toMatchObject({ lost: 3, duplicates: 3, outOfOrder: 0 })
  })

  test('is missed when Posthaste is slower than its target, loses something or could not be measured', () => {
    const fast = outcome('posthaste', [run(20)])
    const target = outcome('mosquitto-qos2', [run(10)])
    expect(missedTargets(report([fast, target]))).toEqual([])
    expect(missedTargets(report([outcome('posthaste', [run(19)]), target]))).toEqual([expect.stringContaining('it is 1.90')])
    expect(missedTargets(report([outcome('posthaste', [run(20, { lost: 1 })]), target]))).toHaveLength(1)
    expect(missedTargets(report([outcome('posthaste', [run(20, { late: 1 })]), target]))).toHaveLength(1)
    expect(missedTargets(report([outcome('posthaste', [], {}, ['it ended']), target]))).toHaveLength(2)
  })

  test('shows a peer that failed in every round with its reason, and without a speed', () => {
    expect(peerTables(report([outcome('aedes', [], {}, ['it ended'])]))).toContain('none (1 failed: it ended)')
  })

  test('tells what was late from what was lost', () => {
    expect(peerTables(report([outcome('aedes', [run(10, { lost: 1, late: 2 })])]))).toContain('| 1 (and 2 late) |')
  })
})

function run(perSecond: number, wrong: Partial<PeerRun> = {}): PeerRun {
  const cost = { serverCpuUs: 1, loadCpuUs: 1, loadBusy: 0.1, otherProcessors: 0 }
  return { perSecond, ...cost, sent: 9, unconfirmed: 0, lost: 0, late: 0, duplicates: 0, outOfOrder: 0, ...wrong }
}

function outcome(id: string, runs: PeerRun[], more: Partial<Peer> = {}, failures: string[] = []): Outcome {
  const start = (): never => {
    throw new Error('not started here')
  }
  const peer: Peer = { id, name: id, survives: 'none', because: '', settings: '', version: () => '1', start, ...more }
  return outcomeOf({ peer, version: '1', runs, failures })
}

function report(outcomes: Outcome[]): PeersReport {
  const workload = { pairs: 50, window: 20, bodyBytes, warmUpMs: 1, measuredMs: 1 }
  return { date: '', machine: '', machineFigures: [], notInstalled: [], contests: [{ workload, outcomes }] }
}
