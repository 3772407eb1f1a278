import { describe, expect, it } from 'vitest'
import { Rig, resultOf } from './rig.ts'

/** The verdict on the SEND with that ref, which is also its count. */
function result(rig: Rig, ref: number): ReturnType<typeof resultOf> {
  const send = rig.sent('send').find((one) => one.ref === ref)
  if (send === undefined) throw new Error(`no SEND ${ref}`)
  return resultOf(send)
}

describe('a MARK that comes before the RESULT of what it covers', () => {
  it('counts when the RESULT comes [I6]', () => {
    const rig = new Rig().live()
    rig.send()
    rig.say({ kind: 'mark', destination: 200, lane: 8, delivered: 1, read: 0 })
    rig.say(result(rig, 1))
    expect(rig.statuses()).toEqual(['sent', 'delivered'])
  })

  it('counts too when it ended all that the lane had [I6]', () => {
    const rig = new Rig().live()
    rig.send()
    rig.send()
    rig.say(result(rig, 1))
    rig.say({ kind: 'mark', destination: 200, lane: 8, delivered: 2, read: 2 })
    rig.say(result(rig, 2))
    expect(rig.statuses()).toEqual(['sent', 'delivered', 'read', 'sent', 'read'])
  })
})
