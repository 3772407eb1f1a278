import { expect, it } from 'vitest'
import { deliver, Rig } from './rig.ts'

it('takes the last of several positions of a lane, in whichever order they come', () => {
  for (const seqs of [
    [1, 2],
    [2, 1],
  ]) {
    const rig = new Rig().live()
    rig.say(deliver(1), deliver(2), deliver(3))
    rig.receive(seqs.map((seq) => ({ epoch: 7, log: 100, lane: 8, seq })))
    expect(rig.handled().map(({ entry }) => entry.position.seq)).toEqual([3])
  }
})
