import { readdirSync, readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { jsonLines, Playground } from './program.ts'

let ground: Playground
beforeEach(() => {
  ground = new Playground()
})
afterEach(() => ground.end())

const linesOf = (count: number) => Array.from({ length: count }, (_, at) => `line ${at + 1}`)
const inputOf = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join('')

describe('killed and run again', () => {
  it('[I1] [I2] [I4] send loses and doubles nothing under the same --run', { timeout: 90_000 }, async () => {
    await ground.dev()
    const lines = linesOf(3_000)
    const listener = ground.start(['listen', '--as', 'bob', '--json', '--count', String(lines.length)], { input: null })
    const send = ['send', '--as', 'alice', '--to', 'bob', '--run', 'nightly']
    for (const at of [50, 400, 1_200]) {
      // Its input stays open, so that it can't end before it is killed.
      const cut = ground.start([...send, '--json'], { input: null })
      cut.child.stdin.write(inputOf(lines))
      await cut.until(`"line":${at},`)
      cut.child.kill('SIGKILL')
      await cut.ended
    }
    const last = await ground.run(send, { input: inputOf(lines) })
    expect([last.code, last.stderr]).toEqual([0, expect.stringContaining('3,000 messages sent')])
    expect(jsonLines((await listener.ended).stdout).map(({ text }) => text)).toEqual(lines)
  })

  it('[I1] [I2] listen --out has every message once, whole', { timeout: 90_000 }, async () => {
    await ground.dev()
    const lines = linesOf(800)
    expect((await ground.run(['send', '--as', 'alice', '--to', 'bob'], { input: inputOf(lines) })).code).toBe(0)
    const listen = ['listen', '--as', 'bob', '--out', 'inbox', '--json']
    for (let kills = 0; kills < 4; kills++) {
      const cut = ground.start(listen, { input: null })
      await cut.until(100)
      cut.child.kill('SIGKILL')
      await cut.ended
    }
    const last = ground.start(listen, { input: null })
    const files = () => readdirSync(ground.path('inbox')).filter((name) => !name.startsWith('.'))
    for (let printed = 1; files().length < lines.length; printed++) await last.until(printed)
    last.child.kill('SIGTERM')
    expect((await last.ended).code).toBe(0)
    const bodies = files().map((name) => readFileSync(ground.path(`inbox/${name}`), 'utf8'))
    expect(bodies.length).toBe(lines.length)
    expect(new Set(bodies)).toEqual(new Set(lines))
  })

  it('[I1] [I2] [I3] listen prints every line in order, and what it prints again is marked redelivered', {
    timeout: 90_000,
  }, async () => {
    await ground.dev()
    const lines = linesOf(2_000)
    expect((await ground.run(['send', '--as', 'alice', '--to', 'bob'], { input: inputOf(lines) })).code).toBe(0)
    const seen: Record<string, unknown>[] = []
    for (let kills = 0; kills < 4; kills++) {
      const cut = ground.start(['listen', '--as', 'bob', '--json'], { input: null })
      await cut.until(150)
      cut.child.kill('SIGKILL')
      seen.push(...jsonLines((await cut.ended).stdout))
    }
    const last = ground.start(['listen', '--as', 'bob', '--json'], { input: null })
    await last.until(`"line ${lines.length}"`)
    last.child.kill('SIGTERM')
    seen.push(...jsonLines((await last.ended).stdout))
    const firsts = seen.filter(({ text }, at) => seen.findIndex((other) => other.text === text) === at)
    expect(firsts.map(({ text }) => text)).toEqual(lines)
    const repeats = seen.filter((line) => !firsts.includes(line))
    expect(repeats.filter(({ redelivered }) => redelivered !== true)).toEqual([])
  })
})
