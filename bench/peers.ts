/** Posthaste and what a user might pick instead, by turns in one run: machines differ, and are busy now and then, the ratio stays. */
import { Child } from './child.ts'
import { type Figure, makeDirectory, passed } from './ground.ts'
import type { LoadReport } from './loading.ts'
import { Mosquitto, mosquittoVersion } from './peers/mosquitto.ts'
import type { Qos } from './peers/mqtt.ts'
import type { MqttSettings } from './peers/mqttPair.ts'
import { medianOf } from './quantiles.ts'
import { measuredMs, run, warmUpMs } from './throughput.ts'

const rounds = 5
const pairs = 50
const window = 20
const bodyBytes = 200

/** What one run of anybody came to. */
interface Speed {
  readonly perSecond: number
  /** Of the server. */
  readonly cpuMicroseconds: number
}

const contestants: readonly { readonly name: string; readonly durability: string; run(): Promise<Speed> }[] = [
  { name: 'Posthaste', durability: 'power loss', run: () => run('sent') },
  { name: 'Mosquitto QoS 1', durability: 'none', run: () => runMosquitto(1) },
  { name: 'Mosquitto QoS 2', durability: 'none', run: () => runMosquitto(2) },
]

/** The figures of `peers`. */
export async function measurePeers(): Promise<Figure[]> {
  const version = mosquittoVersion()
  if (version === undefined) return [{ name: 'Mosquitto', target: '', measured: 'not installed: bash bench/peers/install.sh' }]
  const speeds = contestants.map((): Speed[] => [])
  for (let round = 0; round < rounds; round++)
    for (const [at, contestant] of contestants.entries()) speeds[at]?.push(await contestant.run())
  const figures = contestants.map(({ name, durability }, at): Figure => {
    const all = speeds[at] ?? []
    const list = all.map(({ perSecond }) => Math.round(perSecond).toLocaleString('en')).join(', ')
    const cpu = medianOf(all.map(({ cpuMicroseconds }) => cpuMicroseconds)).toFixed(1)
    return {
      name: `${name}${at === 0 ? '' : ` (${version})`}, survives: ${durability}`,
      target: '',
      measured: `${Math.round(speedOf(all)).toLocaleString('en')} messages/s (${list}), ${cpu} CPU-µs`,
    }
  })
  const [own = 0, once = 1, exactly = 1] = speeds.map(speedOf)
  return [
    ...figures,
    { name: '  ratio to QoS 1', target: '≥ 1', measured: (own / once).toFixed(2), isMet: own >= once },
    { name: '  ratio to QoS 2', target: '≥ 2', measured: (own / exactly).toFixed(2), isMet: own >= 2 * exactly },
  ]
}

function speedOf(all: readonly Speed[]): number {
  return medianOf(all.map(({ perSecond }) => perSecond))
}

/** A place in the window is free at the broker's last answer: MQTT knows nothing of delivery. Posthaste's `sent` is the same. */
async function runMosquitto(qos: Qos): Promise<Speed> {
  const directory = makeDirectory()
  const broker = await Mosquitto.start(directory.path)
  try {
    const settings: MqttSettings = { port: broker.port, pairs, qos, window, bodyBytes }
    const load = new Child('peers/mqttLoad.ts', settings)
    try {
      await load.ask('connect')
      await load.ask('start')
      await passed(warmUpMs)
      const before = await load.ask<LoadReport>('report')
      const beforeCpuMs = broker.cpuMs()
      await passed(measuredMs)
      const after = await load.ask<LoadReport>('report')
      const cpuMs = broker.cpuMs() - beforeCpuMs
      const end = await load.ask<LoadReport>('stop')
      if (end.wrong > 0 || end.received !== end.sent) throw new Error(`not exactly once: ${JSON.stringify(end)}`)
      const messages = after.received - before.received
      return {
        perSecond: (messages / (after.ms - before.ms)) * 1_000,
        cpuMicroseconds: (cpuMs * 1_000) / messages,
      }
    } finally {
      await load.end()
    }
  } finally {
    await broker.stop()
    directory.remove()
  }
}
