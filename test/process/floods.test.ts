import { existsSync, readFileSync } from 'node:fs'
import { statusByNumber } from '@posthaste/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { attackedUsers, attacks } from '../../bench/workloads/attacks.ts'
import { Place, pause, until } from './place.ts'
import { RawClient, sendPacket } from './raw.ts'

const place = new Place('serve')
let alice: RawClient
let bob: RawClient
let ref = 0

beforeAll(async () => {
  await place.start()
  await place.createUsers(['alice', 'bob', ...attackedUsers])
  alice = await RawClient.join(place.url, place.token('alice'))
  bob = await RawClient.join(place.url, place.token('bob'))
})
afterAll(() => place.end())

/** One message from alice to bob, and how long it took, in ms. */
async function exchange(): Promise<number> {
  ref++
  const beginMs = performance.now()
  alice.send(sendPacket(ref))
  const { log, lane, seq, id } = await bob.take('deliver')
  const tookMs = performance.now() - beginMs
  bob.send({ kind: 'ack', log, lane, upTo: seq, notStored: [] })
  const result = await alice.take('result')
  expect([id, statusByNumber(result.status)]).toEqual([BigInt(ref), 'sent'])
  return tookMs
}

/** What the pair sees: its latency, and the longest time in which the server answered nothing. */
async function watch(isOver: () => boolean, least: number): Promise<{ readonly p99Ms: number; readonly mostMs: number }> {
  const took: number[] = []
  while (took.length < least || !isOver()) took.push(await exchange())
  took.sort((one, other) => one - other)
  return { p99Ms: took[Math.floor(took.length * 0.99)] ?? 0, mostMs: took.at(-1) ?? 0 }
}

/** The server's memory in MiB, 0 where the system doesn't tell. */
function memoryMiB(): number {
  const path = `/proc/${place.server?.child.pid}/status`
  if (!existsSync(path)) return 0
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(path, 'utf8'))?.[1]) / 1_024
}

describe('while a server is attacked', () => {
  it.each([...attacks])('[I10] others are served, and its memory is bounded: %s', async (what, attack) => {
    const before = await watch(() => true, 100)
    const memoryBefore = memoryMiB()
    let isOver = false
    const attacked = attack({ port: place.port, token: (user) => place.token(user), round: 0 }).then(async (end) => {
      await pause(1_000)
      isOver = true
      return end
    })
    const during = await watch(() => isOver, 100)
    const grownMiB = memoryMiB() - memoryBefore
    ;(await attacked)()
    const figures = [before.p99Ms, during.p99Ms, during.mostMs, grownMiB].map((figure) => figure.toFixed(1))
    console.log(
      `${what}: p99 ${figures[0]} ms before, ${figures[1]} ms during, at most ${figures[2]} ms; memory +${figures[3]} MiB`,
    )
    // The figures are for people: the attacker runs on the same machine, and other tests beside it. What breaks these bounds is no chance.
    expect(during.p99Ms).toBeLessThan(Math.max(2 * before.p99Ms, 10_000))
    expect(grownMiB).toBeLessThan(256)
    await until(
      () => alice.isOpen && bob.isOpen,
      () => 'an honest client was closed',
    )
  })
})
