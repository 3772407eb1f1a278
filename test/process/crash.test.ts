import { afterEach, describe, expect, it } from 'vitest'
import {
  faultsBetween,
  RawReceiver,
  RawSender,
  SdkReceiver,
  SdkSender,
  type ReceivingParty,
  type SendingParty,
} from './parties.ts'
import { Place, pause, randomOf, until } from './place.ts'

const messagesMin = 5_000
const seed = 20_261_122

let place: Place | undefined
afterEach(() => place?.end())

describe('the comparison of what was told with what came', () => {
  const faultsOf = (told: readonly string[], lane: readonly string[]) => {
    const end = () => Promise.resolve()
    const sender = { told: new Set(told), wrong: [], unanswered: 0, send: end, end }
    return faultsBetween(sender, { received: [lane], wrong: [], end })
  }

  it('finds losses, doubles and disorder', () => {
    expect(faultsOf(['0 1', '0 2'], ['0 1', '0 2', '0 3'])).toEqual([])
    expect(faultsOf(['0 1', '0 2'], ['0 2'])).toEqual(['0 1 was told sent and is lost'])
    expect(faultsOf(['0 1'], ['0 1', '0 2', '0 1'])).toEqual(['0 1 came twice'])
    expect(faultsOf(['0 1'], ['0 2', '0 1'])).toEqual(['0 1 came after 0 2'])
    expect(faultsOf([], ['1 1'])).toEqual(['1 1 came in lane 0'])
  })
})

describe('a server that is killed again and again under load', () => {
  it.each([
    [20, 'serve'],
    [10, 'eager'],
  ] as const)(
    '[I1] [I2] [I3] [I4] [I6] [I12] loses nothing that was told sent, doubles nothing and keeps every lane in order: %i kills, %s',
    {
      timeout: 150_000,
    },
    async (kills, kind) => {
      const here = new Place(kind)
      place = here
      await here.start()
      const pairs = await pairsIn(here)
      const random = randomOf(seed)
      const told = () => pairs.reduce((sum, [, sender]) => sum + sender.told.size, 0)
      let isOver = false
      const load = Promise.all(pairs.map(([, sender]) => sendUntil(sender, random, () => isOver)))
      for (let kill = 0; kill < kills; kill++) {
        const before = told()
        await until(
          () => told() > before,
          () => `nothing is sent after kill ${kill}`,
        )
        await pause(random() * 250)
        await here.kill()
        await here.start()
      }
      await until(
        () => told() >= messagesMin,
        () => `${told()} messages are sent`,
        60_000,
      )
      isOver = true
      await load
      await arrived(pairs)
      for (const [receiver, sender] of pairs) expect(faultsBetween(sender, receiver).slice(0, 10)).toEqual([])
      expect(pairs.filter(([, sender]) => sender.told.size < 500)).toEqual([])
      for (const [receiver, sender] of pairs) await Promise.all([receiver.end(), sender.end()])
    },
  )
})

type Pair = readonly [ReceivingParty, SendingParty]

async function pairsIn(at: Place): Promise<readonly Pair[]> {
  await at.createUsers(['r1', 'r2', 'r3', 'r4'])
  return [
    [new RawReceiver(at, 'r1'), new RawSender(at, 's1', 'r1')],
    [new RawReceiver(at, 'r2'), new RawSender(at, 's2', 'r2')],
    [new SdkReceiver(at, 'r3'), new SdkSender(at, 's3', 'r3')],
    [new SdkReceiver(at, 'r4'), new SdkSender(at, 's4', 'r4')],
  ]
}

/** Waits until everything is answered and, for a while, until everything has come: the comparison says what has not. */
async function arrived(pairs: readonly Pair[]): Promise<void> {
  await until(
    () => pairs.every(([, sender]) => sender.unanswered === 0),
    () => `unanswered: ${pairs.map(([, sender]) => sender.unanswered)}`,
  )
  await until(
    () => pairs.every(([receiver, sender]) => receiver.received.flat().length >= sender.told.size),
    () => '',
  ).catch(() => {})
}

async function sendUntil(sender: SendingParty, random: () => number, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    for (let burst = 0; burst < 10; burst++) await sender.send(Math.floor(random() * 16))
    await pause(5)
  }
}
