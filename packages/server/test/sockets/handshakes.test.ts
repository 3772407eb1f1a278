import { describe, expect, it } from 'vitest'
import { Handshakes, patienceTurns } from '../../src/sockets/handshakes.ts'

/** A socket that counts. */
class Fake {
  destroyed = false
  isPaused = false
  reads = 0
  pause(): void {
    this.isPaused = true
  }
  resume(): void {
    this.isPaused = false
    this.reads += 1
  }
}

/** So many that have begun, and turns from there on. */
function begun(count: number) {
  const handshakes = new Handshakes<Fake>()
  const sockets = Array.from({ length: count }, () => new Fake())
  for (const socket of sockets) handshakes.begin(socket)
  const turns = (number: number): void => {
    for (let turn = 0; turn < number; turn++) handshakes.turn()
  }
  return { handshakes, sockets, turns }
}

describe('handshakes that take long', () => {
  it('[I10] are read as they come at first', () => {
    const { sockets, turns } = begun(200)
    turns(patienceTurns - 1)
    expect(sockets.some(({ isPaused, reads }) => isPaused || reads > 0)).toBe(false)
  })

  it('[I10] are then read a few a turn, each as often as any other', () => {
    const { sockets, turns } = begun(200)
    turns(patienceTurns)
    for (let turn = 0; turn < 500; turn++) {
      expect(sockets.filter(({ isPaused }) => !isPaused)).toHaveLength(4)
      turns(1)
    }
    expect(new Set(sockets.map(({ reads }) => reads))).toEqual(new Set([10, 11]))
  })

  it('are read one a turn when there are few', () => {
    const { sockets, turns } = begun(1)
    turns(patienceTurns + 9)
    expect(sockets[0]?.reads).toBe(10)
  })

  it('are left alone once they have said what they want, and forgotten when they are gone', () => {
    const { handshakes, sockets, turns } = begun(2)
    const [one, other] = sockets as [Fake, Fake]
    turns(patienceTurns)
    const read = sockets.find(({ isPaused }) => !isPaused) as Fake
    handshakes.end(read)
    turns(5)
    expect([read.isPaused, read.reads]).toEqual([false, 1])
    one.destroyed = true
    other.destroyed = true
    turns(5)
    expect(handshakes.isEmpty).toBe(true)
  })

  it('are forgotten when they are gone before', () => {
    const { handshakes, sockets, turns } = begun(1)
    expect(handshakes.isEmpty).toBe(false)
    for (const socket of sockets) socket.destroyed = true
    turns(patienceTurns)
    expect([handshakes.isEmpty, sockets[0]?.isPaused]).toEqual([true, false])
  })
})
