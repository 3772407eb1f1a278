import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Place, pause, until } from './place.ts'
import { RawClient } from './raw.ts'

/** Names of 256 users who are not there: to unwatch them counts as some 2,000 packets. */
const users = Array.from({ length: 256 }, (_user, at) => `${at}`.padStart(64, '-'))
const unwatch = { kind: 'watch', isOn: false, users } as const
/** 10 MiB of them: more than may wait in the server, and some 12 seconds' worth. */
const unwatchCount = 620

describe.each(['serve', 'gateways'] as const)('a server (%s)', (kind) => {
  let place: Place
  beforeEach(async () => {
    place = new Place(kind)
    await place.start()
    await place.createUsers(['alice', 'bob'])
  })
  afterEach(() => place.end())

  it('[I10] does not read who sends more than it may, serves it as time passes, and others meanwhile', {
    timeout: 60_000,
  }, async () => {
    const alice = await RawClient.join(place.url, place.token('alice'))
    const bob = await RawClient.join(place.url, place.token('bob'))
    for (let sent = 1; sent <= unwatchCount; sent++) alice.send(unwatch, { kind: 'ping', clientTime: sent })
    await pause(1_000)
    for (let asked = 0; asked < 100; asked++) {
      const sinceMs = performance.now()
      bob.send({ kind: 'ping', clientTime: asked })
      await bob.take('pong')
      expect(performance.now() - sinceMs).toBeLessThan(5_000)
    }
    expect(alice.packets.length).toBeLessThan(unwatchCount)
    await until(
      () => alice.packets.length === unwatchCount || !alice.isOpen,
      () => `${alice.packets.length} of ${unwatchCount} are answered`,
      50_000,
    )
    const answered = alice.packets.map((packet) => (packet.kind === 'pong' ? packet.clientTime : 0))
    expect(answered).toEqual(Array.from({ length: unwatchCount }, (_pong, at) => at + 1))
  })

  it('[I10] lets go who does not say within 10 seconds what it wants, be it that a byte comes now and then', {
    timeout: 40_000,
  }, async () => {
    const request = `GET /v1/connect HTTP/1.1\r\nHost: localhost\r\nX-Long: ${'x'.repeat(10_000)}`
    const ends = [false, true].map(async (isTalking) => {
      const socket = connect(place.port, '127.0.0.1')
      let answer = ''
      let sent = 0
      socket.on('data', (data) => {
        answer += data.toString()
      })
      const timer = setInterval(() => {
        if (isTalking && socket.writable) socket.write(request.charAt(sent++))
      }, 20)
      await new Promise((resolve) => socket.on('error', () => undefined).once('close', resolve))
      clearInterval(timer)
      return answer.split('\r\n')[0]
    })
    expect(await Promise.all(ends)).toEqual(['HTTP/1.1 408 Request Timeout', 'HTTP/1.1 408 Request Timeout'])
  })
})
