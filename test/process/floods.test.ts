import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { encodeClientMessage, statusByNumber } from '@posthaste/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Place, pause, until } from './place.ts'
import { RawClient, sendPacket } from './raw.ts'

const place = new Place('serve')
let alice: RawClient
let bob: RawClient
let ref = 0

beforeAll(async () => {
  await place.start()
  await place.createUsers(['alice', 'bob', 'sloth'])
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

/** A connection below WebSockets. */
async function openSocket(): Promise<Socket> {
  const socket = connect(place.port, '127.0.0.1')
  socket.on('error', () => undefined)
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()))
  return socket
}

function cutAll(sockets: readonly Socket[]): void {
  for (const socket of sockets) socket.destroy()
}

const upgrade = `GET /v1/connect HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Version: 13\r\n\r\n`

/** A frame of WebSocket without content, masked. */
const emptyFrame = (first: number): Buffer => Buffer.from([first, 0x80, 1, 2, 3, 4])

/** Says what an attack does; resolves with what ends it. */
type Attack = () => Promise<() => void>

/** One message in 16,384 fragments that have nothing in them, and never ends. */
const fragments: Attack = async () => {
  const sockets = await Promise.all(Array.from({ length: 8 }, openSocket))
  const bytes = Buffer.concat([emptyFrame(0x02), ...Array.from({ length: 16_384 }, () => emptyFrame(0x00))])
  for (const socket of sockets) {
    socket.write(upgrade)
    await new Promise((resolve) => socket.once('data', resolve))
    socket.write(bytes)
  }
  return () => cutAll(sockets)
}

/** As many PINGs as a message holds, again and again, by eight who never read the answers. */
const tinyPackets: Attack = async () => {
  const bytes = encodeClientMessage(Array.from({ length: 4_096 }, () => ({ kind: 'ping' as const, clientTime: 1 })))
  const raws = await Promise.all(Array.from({ length: 8 }, () => RawClient.join(place.url, place.token('mallory'))))
  for (const raw of raws) {
    raw.pause()
    for (let message = 0; message < 200; message++) raw.sendBytes(bytes)
  }
  return () => {
    for (const raw of raws) raw.cut()
  }
}

/** Handshakes of which a byte comes now and then, and sessions that begin and then say nothing. */
const slowHandshakes: Attack = async () => {
  const sockets = await Promise.all(Array.from({ length: 200 }, openSocket))
  let at = 0
  const timer = setInterval(() => {
    for (const socket of sockets) if (socket.writable) socket.write(upgrade.charAt(at % upgrade.length))
    at += 1
  }, 20)
  const silent = await Promise.all(
    Array.from({ length: 32 }, (_raw, at) => RawClient.join(place.url, place.token(`silent ${at % 8}`))),
  )
  return () => {
    clearInterval(timer)
    cutAll(sockets)
    for (const raw of silent) raw.cut()
  }
}

/** A device that is sent 20 MiB and reads nothing. */
const neverReading: Attack = async () => {
  const sloth = await RawClient.join(place.url, place.token('sloth'))
  sloth.pause()
  const sender = await RawClient.join(place.url, place.token('mallory'))
  for (let message = 1; message <= 320; message++) sender.send(sendPacket(message, { to: 'sloth', body: Buffer.alloc(65_536) }))
  return () => {
    sloth.cut()
    sender.cut()
  }
}

/** Thousands of connections on which nothing is ever said. */
const halfOpen: Attack = async () => {
  const sockets: Socket[] = []
  for (let round = 0; round < 20; round++) sockets.push(...(await Promise.all(Array.from({ length: 150 }, openSocket))))
  return () => cutAll(sockets)
}

describe('while a server is attacked', () => {
  it.each([
    ['16,384 empty fragments of a message', fragments],
    ['floods of tiny packets whose answers nobody reads', tinyPackets],
    ['slow handshakes and silent sessions', slowHandshakes],
    ['a client that never reads what it is sent', neverReading],
    ['thousands of half-open connections', halfOpen],
  ])('[I10] others are served, and its memory is bounded: %s', async (what, attack) => {
    const before = await watch(() => true, 100)
    const memoryBefore = memoryMiB()
    let isOver = false
    const attacked = attack().then(async (end) => {
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
