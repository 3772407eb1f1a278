import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { jsonLines, type Run } from '../cli/program.ts'
import { jsonDocument, sdpOffer } from './fixtures/documents.ts'
import { pngOf } from './fixtures/png.ts'
import { realLines } from './fixtures/text.ts'
import { Place, until } from './place.ts'

let place: Place
beforeEach(async () => {
  place = new Place()
  await place.start()
})
afterEach(() => place.end())

const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

describe('real input', () => {
  it('[I1] [I2] passes unchanged: a picture, a call, a document and nothing at all', { timeout: 60_000 }, async () => {
    const png = pngOf(150, 140)
    expect(png.length).toBeGreaterThan(40_000)
    expect(png.length).toBeLessThan(65_536)
    const bodies = [png, Buffer.from(sdpOffer), Buffer.from(jsonDocument), Buffer.alloc(0)]
    for (const [at, body] of bodies.entries()) {
      const file = `input-${at}`
      writeFileSync(place.ground.path(file), body)
      const sent = await place.ground.run(['send', '--as', 'alice', '--to', 'bob', '--id', String(at + 1), '--file', file])
      expect(sent.code).toBe(0)
    }
    const listener = await place.ground.run(['listen', '--as', 'bob', '--out', 'inbox', '--json', '--count', '4'])
    const received = jsonLines(listener.stdout).map(({ id, file }) => [id, hashOf(readFileSync(String(file)))])
    expect(received).toEqual(bodies.map((body, at) => [String(at + 1), hashOf(body)]))
  })

  it('[I1] [I2] [I3] [I4] passes unchanged as ten thousand lines, in order, while the server and both programs are killed', {
    timeout: 120_000,
  }, async () => {
    const lines = realLines(10_000)
    const outputs: string[] = []
    const listen = () => place.ground.start(['listen', '--as', 'bob', '--json'], { input: null })
    const send = () => {
      fed = 0
      return place.ground.start(['send', '--as', 'alice', '--to', 'bob', '--run', 'text'], { input: null })
    }
    let fed = 0
    let listener = listen()
    let sender = send()
    const printed = () => outputs.reduce((sum, output) => sum + linesIn(output), 0) + linesIn(listener.stdout())
    /** Types on, but not far ahead of what is received: so every program has work to do whenever one is killed. */
    const feed = () => {
      const upTo = Math.min(lines.length, printed() + 1_500)
      if (upTo <= fed) return
      sender.child.stdin.write(
        lines
          .slice(fed, upTo)
          .map((line) => `${line}\n`)
          .join(''),
      )
      fed = upTo
      if (fed === lines.length) sender.child.stdin.end()
    }
    const kill = async (run: Run) => {
      run.child.kill('SIGKILL')
      expect((await run.ended).signal).toBe('SIGKILL')
    }
    const victims = {
      server: async () => {
        await place.kill()
        await place.start()
      },
      sender: async () => {
        await kill(sender)
        sender = send()
      },
      listener: async () => {
        await kill(listener)
        outputs.push(listener.stdout())
        listener = listen()
      },
    }
    const reach = (mark: number) =>
      until(
        () => {
          feed()
          return printed() >= mark
        },
        () => `${printed()} lines, ${mark} are awaited; ${sender.stderr()} ${listener.stderr()}`,
        30_000,
      )
    const plan = ['server', 'listener', 'sender', 'server', 'sender', 'listener', 'server', 'listener', 'server'] as const
    for (const [at, victim] of plan.entries()) {
      await reach((at * (lines.length - 1_600)) / plan.length + 100)
      await victims[victim]()
    }
    await reach(lines.length)
    // Lines that came again count above; here each message counts once.
    const keys = () => new Set([...outputs, listener.stdout()].flatMap((output) => jsonLines(output)).map(({ key }) => key))
    await until(
      () => keys().size === lines.length,
      () => `${keys().size} messages; ${listener.stderr()}`,
      30_000,
    )
    const { code, stderr } = await sender.ended
    expect([code, stderr]).toEqual([0, expect.stringContaining('10,000 messages sent')])
    listener.child.kill('SIGTERM')
    outputs.push((await listener.ended).stdout)

    // What the listener had written when it was killed, and not yet acknowledged, may be there again, marked as such.
    const all = outputs.flatMap((output) => jsonLines(output))
    const seen = new Set<unknown>()
    const firsts = all.filter(({ key }) => !seen.has(key) && seen.add(key))
    const repeats = all.filter((message) => !firsts.includes(message))
    expect(firsts.map(({ text }) => text)).toEqual(lines)
    expect(repeats.filter(({ redelivered }) => redelivered !== true)).toEqual([])
    expect(repeats.length).toBeLessThanOrEqual(plan.filter((victim) => victim === 'listener').length)
  })
})

function linesIn(text: string): number {
  let count = 0
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++
  return count
}
