import { afterEach, describe, expect, it, vi } from 'vitest'
import { AfterAccepting, waitMs } from '../../src/sockets/accepting.ts'

afterEach(() => {
  vi.unstubAllGlobals()
})

/** What is to be done, and turns of the event loop in which somebody is accepted or not. */
function begun() {
  let accepted = 0
  let done = 0
  let nowMs = 0
  const immediates: (() => void)[] = []
  vi.stubGlobal('setImmediate', (act: () => void) => immediates.push(act))
  vi.stubGlobal('performance', { now: () => nowMs })
  const after = new AfterAccepting(
    () => accepted,
    () => {
      done += 1
    },
  )
  /** @param forMs how long the turn took @returns how often it was done by then */
  const turn = (isAccepting: boolean, forMs = 0): number => {
    if (isAccepting) accepted += 1
    nowMs += forMs
    for (const act of immediates.splice(0)) act()
    return done
  }
  return { after, turn }
}

describe('what is done after accepting', () => {
  it('is done at the end of the turn when nobody was accepted', () => {
    const { after, turn } = begun()
    after.soon()
    expect(turn(false)).toBe(1)
    expect(turn(false)).toBe(1)
  })

  it('[I10] waits as long as somebody is accepted in each turn, and then is done once', () => {
    const { after, turn } = begun()
    after.soon()
    for (let count = 0; count < 50; count++) expect(turn(true)).toBe(0)
    expect(turn(false)).toBe(1)
    expect(turn(true)).toBe(1)
  })

  it('[I10] waits no longer than a while, each time that it is due', () => {
    const { after, turn } = begun()
    for (const done of [1, 2]) {
      after.soon()
      expect(turn(true)).toBe(done - 1)
      expect(turn(true, waitMs - 0.5)).toBe(done - 1)
      expect(turn(true, 0.5)).toBe(done)
    }
  })
})
