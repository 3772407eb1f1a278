/** One message at a time, on an otherwise idle server: from the call that sends it to the receiver's handler. */
import { Posthaste } from '@posthaste/client'
import { memoryStore } from '@posthaste/client/memory'
import { type Figure, makeDirectory, makeTokens, startBenchServer, urlOf } from './ground.ts'
import type { ServerReport } from './probe.ts'
import { quantileOf } from './quantiles.ts'
import { ackOf, connect, noArrivals, SendTemplate } from './wire.ts'

const bodyBytes = 200
const warmUp = 500
const measured = 2_000
const expiryMs = 86_400_000

/** A way to send a message and to wait for it: resolves with the ms until the handler had it, once its receipt is there. */
type Exchange = () => Promise<number>

/** The figures of `latency`. */
export async function measureLatency(): Promise<Figure[]> {
  const directory = makeDirectory()
  const server = startBenchServer(directory.path)
  try {
    const url = await urlOf(server)
    const [alice = '', bob = '', carol = '', dave = ''] = await makeTokens(['alice', 'bob', 'carol', 'dave'])
    const raw = await rawExchange(url, alice, bob)
    const figures = await measure(server, 'raw client', raw.exchange)
    raw.close()
    const sdk = await sdkExchange(url, carol, dave)
    figures.push(...(await measure(server, 'SDK, memory store', sdk.exchange)))
    await sdk.close()
    return figures
  } finally {
    await server.end()
    directory.remove()
  }
}

async function measure(server: ReturnType<typeof startBenchServer>, who: string, exchange: Exchange): Promise<Figure[]> {
  for (let number = 0; number < warmUp; number++) await exchange()
  await server.ask('report')
  const latenciesMs: number[] = []
  for (let number = 0; number < measured; number++) latenciesMs.push(await exchange())
  const { flushMs } = await server.ask<ServerReport>('report')
  const medianMs = quantileOf(latenciesMs, 0.5)
  const isMet = medianMs - flushMs <= 1
  return [
    {
      name: `one message at a time, median over the flush: ${who}`,
      target: '≤ 1 ms',
      measured: `${(medianMs - flushMs).toFixed(2)} ms`,
      isMet,
      values: [medianMs - flushMs],
      unit: 'ms',
    },
    {
      name: '  sender to handler p50, p99; flush p50',
      target: '',
      measured: `${medianMs.toFixed(2)}, ${quantileOf(latenciesMs, 0.99).toFixed(2)}; ${flushMs.toFixed(2)} ms`,
      values: [medianMs, quantileOf(latenciesMs, 0.99), flushMs],
      unit: 'ms',
    },
  ]
}

async function rawExchange(
  url: string,
  senderToken: string,
  receiverToken: string,
): Promise<{ readonly exchange: Exchange; close(): void }> {
  let handledMs = 0
  let onDelivered: () => void = () => {}
  const receiver = await connect(url, receiverToken, {
    ...noArrivals,
    deliver: (log, lane, seq) => {
      handledMs = performance.now()
      receiver.send(ackOf(log, lane, seq))
    },
  })
  const sender = await connect(url, senderToken, { ...noArrivals, result: () => {}, mark: () => onDelivered() })
  const template = new SendTemplate('bob', bodyBytes, Date.now() + expiryMs)
  const firstId = BigInt(Date.now()) << 22n
  let ref = 0
  const exchange: Exchange = async () => {
    ref += 1
    const delivered = new Promise<void>((resolve) => {
      onDelivered = resolve
    })
    const startMs = performance.now()
    sender.send(template.message(ref, firstId + BigInt(ref), 1))
    await delivered
    return handledMs - startMs
  }
  const close = (): void => {
    for (const { socket } of [sender, receiver]) socket.removeAllListeners('close').terminate()
  }
  return { exchange, close }
}

async function sdkExchange(
  url: string,
  senderToken: string,
  receiverToken: string,
): Promise<{ readonly exchange: Exchange; close(): Promise<void> }> {
  const sender = new Posthaste({ url, token: senderToken, store: memoryStore() })
  const receiver = new Posthaste({ url, token: receiverToken, store: memoryStore() })
  let handledMs = 0
  receiver.receive(async () => {
    handledMs = performance.now()
  })
  await Promise.all([sender, receiver].map(connected))
  const body = new Uint8Array(bodyBytes)
  const exchange: Exchange = async () => {
    const startMs = performance.now()
    const sent = await sender.send({ to: 'dave', body })
    await sent.waitFor('delivered')
    return handledMs - startMs
  }
  const close = async (): Promise<void> => {
    await sender.close()
    await receiver.close()
  }
  return { exchange, close }
}

function connected(client: Posthaste): Promise<void> {
  return new Promise((resolve) => {
    const check = (): void => {
      if (client.connection.state.status === 'live') resolve()
    }
    client.connection.subscribe(check)
    client.connect()
    check()
  })
}
