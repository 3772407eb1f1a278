/** What a hostile client may do that costs it little, kept up until it is ended. */
import { randomBytes } from 'node:crypto'
import { connect as connectSocket, type Socket } from 'node:net'
import { encodeClientMessage } from '@posthaste/protocol'
import type { WebSocket } from 'ws'
import { connect } from '../wire.ts'

/** The server that is attacked. */
export interface Target {
  readonly port: number
  /** A token of one of `attackedUsers`. */
  token(user: string): string
  /** How often it was attacked before: below `roundsMax`. What a device is sent and never reads fills the inbox of its user, so each time it is another's. */
  readonly round: number
}

/** Begins an attack; what it resolves with ends it. */
export type Attack = (target: Target) => Promise<() => void>

/** How often a server may be attacked. */
export const roundsMax = 11
const againMs = 1_000
const bodyBytes = 65_536
/** 20 MiB in 8 seconds. */
const sendMs = 25

const upgrade = [
  'GET /v1/connect HTTP/1.1',
  'Host: localhost',
  'Upgrade: websocket',
  'Connection: Upgrade',
  `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
  'Sec-WebSocket-Version: 13',
  '\r\n',
].join('\r\n')

/** A connection below WebSockets. */
async function openSocket(port: number): Promise<Socket> {
  const socket = connectSocket(port, '127.0.0.1')
  // The server closes it when it has seen enough.
  socket.on('error', () => undefined)
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()))
  return socket
}

/** A session that minds nothing that comes after its WELCOME. */
async function deafSession({ port, token }: Target, user: string): Promise<WebSocket> {
  const { socket } = await connect(`ws://127.0.0.1:${port}/v1/connect`, token(user))
  socket.on('error', () => undefined)
  return socket
}

/** A frame of a WebSocket without content, masked. */
const emptyFrame = (first: number): Buffer => Buffer.from([first, 0x80, 1, 2, 3, 4])

/** One message in 16,384 fragments that have nothing in them, and never ends; on eight connections, each second. */
const fragments: Attack = async ({ port }) => {
  const bytes = Buffer.concat([emptyFrame(0x02), ...Array.from({ length: 16_384 }, () => emptyFrame(0x00))])
  return repeated(async () => {
    const sockets = await Promise.all(Array.from({ length: 8 }, () => openSocket(port)))
    for (const socket of sockets) {
      socket.write(upgrade)
      socket.once('data', () => socket.write(bytes))
    }
    return () => cutAll(sockets)
  })
}

/** As many PINGs as a message holds, again and again, by eight who never read the answers; each second. */
const tinyPackets: Attack = async (target) => {
  const bytes = encodeClientMessage(Array.from({ length: 4_096 }, () => ({ kind: 'ping' as const, clientTime: 1 })))
  return repeated(async () => {
    const sessions = await Promise.all(Array.from({ length: 8 }, () => deafSession(target, 'mallory')))
    for (const session of sessions) {
      session.pause()
      for (let message = 0; message < 200; message++) session.send(bytes)
    }
    return () => endAll(sessions)
  })
}

/** Handshakes of which a byte comes now and then, and sessions that begin and then say nothing. */
const slowHandshakes: Attack = async (target) => {
  const sockets = await Promise.all(Array.from({ length: 200 }, () => openSocket(target.port)))
  let at = 0
  const timer = setInterval(() => {
    for (const socket of sockets) if (socket.writable) socket.write(upgrade.charAt(at % upgrade.length))
    at += 1
  }, 20)
  const silent = await Promise.all(Array.from({ length: 32 }, (_session, number) => deafSession(target, `silent ${number % 8}`)))
  return () => {
    clearInterval(timer)
    cutAll(sockets)
    endAll(silent)
  }
}

/** A device that is sent 64 KiB 40 times a second and reads nothing. */
const neverReading: Attack = async (target) => {
  const to = slothOf(target.round)
  const sloth = await deafSession(target, to)
  sloth.pause()
  const sender = await deafSession(target, 'mallory')
  const body = new Uint8Array(bodyBytes)
  const kind = { kind: 'send', toKind: 0, to, type: 0, priority: 8, receipts: true, body } as const
  const firstId = BigInt(Date.now()) << 20n
  let ref = 0
  const timer = setInterval(() => {
    ref += 1
    const deadlineMs = Date.now() + 3_600_000
    if (sender.readyState === sender.OPEN)
      sender.send(encodeClientMessage([{ ...kind, ref, id: firstId + BigInt(ref), deadlineMs }]))
  }, sendMs)
  return () => {
    clearInterval(timer)
    endAll([sloth, sender])
  }
}

/** Connections on which nothing is ever said: 150 more five times a second, up to 3,000. */
const halfOpen: Attack = async ({ port }) => {
  const sockets: Socket[] = []
  const timer = setInterval(() => {
    for (let number = 0; number < 150 && sockets.length < 3_000; number++) {
      const socket = connectSocket(port, '127.0.0.1')
      socket.on('error', () => undefined)
      sockets.push(socket)
    }
  }, 200)
  return () => {
    clearInterval(timer)
    cutAll(sockets)
  }
}

/** All of them, each with what it does. */
export const attacks: ReadonlyMap<string, Attack> = new Map([
  ['16,384 empty fragments of a message', fragments],
  ['floods of tiny packets whose answers nobody reads', tinyPackets],
  ['slow handshakes and silent sessions', slowHandshakes],
  ['a client that never reads what it is sent', neverReading],
  ['thousands of half-open connections', halfOpen],
])

/** Users whom the attacks name and who must be there. */
export const attackedUsers: readonly string[] = [
  'mallory',
  ...Array.from({ length: roundsMax }, (_user, at) => slothOf(at)),
  ...Array.from({ length: 8 }, (_user, at) => `silent ${at}`),
]

function slothOf(round: number): string {
  return `sloth ${round}`
}

async function repeated(begin: () => Promise<() => void>): Promise<() => void> {
  const ends: (() => void)[] = []
  const again = (): Promise<void> =>
    begin().then(
      (end) => void ends.push(end),
      // The server takes no more of them for a while: that is what it is for.
      () => undefined,
    )
  await again()
  const timer = setInterval(() => void again(), againMs)
  return () => {
    clearInterval(timer)
    for (const end of ends) end()
    if (ends.length === 0) throw new Error('the attack never began')
  }
}

function cutAll(sockets: readonly Socket[]): void {
  for (const socket of sockets) socket.destroy()
}

function endAll(sessions: readonly WebSocket[]): void {
  for (const session of sessions) session.terminate()
}
