/** The load generator for MQTT brokers: pairs in a process of its own. Started by `Child`; answers as `load.ts` does. */
import { answerAll, settingsOf } from '../child.ts'
import type { LoadReport } from '../load.ts'
import { MqttPair, type MqttSettings } from './mqttPair.ts'

const settings = settingsOf<MqttSettings>()
const pairs = Array.from({ length: settings.pairs }, (_, number) => new MqttPair(number, settings))

function report(): LoadReport {
  const { user, system } = process.cpuUsage()
  const sum = (count: (pair: MqttPair) => number): number => pairs.reduce((all, pair) => all + count(pair), 0)
  const received = sum((pair) => pair.received)
  return {
    ms: performance.now(),
    cpuMs: (user + system) / 1_000,
    sent: sum(({ sent }) => sent),
    received,
    delivered: received,
    wrong: sum(({ wrong }) => wrong),
  }
}

answerAll({
  connect: () => Promise.all(pairs.map((pair) => pair.connect())).then(() => null),
  start: () => {
    for (const pair of pairs) pair.start()
  },
  report,
  stop: async () => {
    await Promise.all(pairs.map((pair) => pair.stop()))
    return report()
  },
  close: () => {
    for (const pair of pairs) pair.close()
  },
})
