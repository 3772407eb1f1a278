import { describe, expect, it } from 'vitest'
import { decoderTarget } from './decoderTarget.ts'
import { Fuzzer } from './fuzzer.ts'
import { httpTarget } from './httpTarget.ts'
import { sessionTarget } from './sessionTarget.ts'
import { Stopwatch, type Target } from './target.ts'

const seed = Number(process.env.TEST_SEED ?? 1)
// On a machine that runs other tests too a step is not told to be slow before it is so by far. `main.ts` is stricter.
const stopwatch = new Stopwatch(2_000)

/** The packets of so many inputs, which must break no rule. */
async function fuzz(target: Target, inputs: number): Promise<number> {
  const { progress, failure } = await new Fuzzer(target, { seed, inputs }).run()
  if (failure === undefined) return progress.packets
  const genome = Buffer.from(failure.genome).toString('base64')
  throw new Error(`${genome}\n${target.describe(failure.genome)}`, { cause: failure.error })
}

describe('hostile input [I10]', () => {
  it('ends in packets that can be written and read again, or in a closing code: both decoders', async () => {
    expect(await fuzz(decoderTarget(stopwatch), 12_000)).toBeGreaterThan(50_000)
  })

  it('[I1] [I2] [I3] [I9] [I11] is nothing that honest clients notice, and its journal can be replayed: the session', async () => {
    expect(await fuzz(sessionTarget(stopwatch), 60)).toBeGreaterThan(2_000)
  })

  it('is answered without a failure of the server, or with a problem document: the HTTP API', async () => {
    expect(await fuzz(httpTarget(stopwatch), 300)).toBeGreaterThan(500)
  })
})
