import { describe, expect, it } from 'vitest'
import { code, Rig, resultOf, serverStartMs } from './rig.ts'

/** The verdict on the SEND with that ref, which is also its count. */
function result(rig: Rig, ref: number): ReturnType<typeof resultOf> {
  const send = rig.sent('send').findLast((one) => one.ref === ref)
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

describe('a MARK of a new connection', () => {
  it('says nothing of what expired while the sender was away, and STATUSES does [I6]', () => {
    const rig = new Rig().live()
    rig.send()
    rig.say(result(rig, 1))
    rig.reconnect()
    rig.say({ kind: 'mark', destination: 200, lane: 8, delivered: 2, read: 0 })
    expect(rig.statuses()).toEqual(['sent'])
    const { request } = rig.lastPacket('query')
    const answer = { destination: 200, count: 0, lane: 8, timeMs: serverStartMs, delivered: 0, read: 0, members: 1 }
    rig.say({ kind: 'statuses', request, statuses: [{ ...answer, status: code('expired') }] })
    rig.say({ kind: 'mark', destination: 200, lane: 8, delivered: 3, read: 0 })
    expect(rig.statuses()).toEqual(['sent', 'expired'])
  })

  it('counts for what was asked for as a hole, once it is delivered after all [I6]', () => {
    const rig = new Rig().live()
    rig.send()
    rig.say(result(rig, 1))
    rig.reconnect()
    const answer = { destination: 200, lane: 8, timeMs: serverStartMs, delivered: 0, read: 0, members: 1 }
    const first = rig.lastPacket('query').request
    rig.say({ kind: 'statuses', request: first, statuses: [{ ...answer, count: 0, status: code('sent') }] })
    rig.say({ kind: 'status', destination: 200, id: rig.sent('send')[0]?.id ?? 0n, status: code('delivered') })
    const { request } = rig.lastPacket('query')
    expect(request).toBeGreaterThan(first)
    rig.say({ kind: 'mark', destination: 200, lane: 8, delivered: 1, read: 1 })
    rig.say({ kind: 'statuses', request, statuses: [{ ...answer, count: 1, status: code('delivered') }] })
    expect(rig.statuses()).toEqual(['sent', 'delivered', 'read'])
  })

  it('counts once STATUSES has said that marks speak for the message [I6]', () => {
    const rig = new Rig().live()
    rig.send()
    rig.say(result(rig, 1))
    rig.reconnect()
    rig.say({ kind: 'mark', destination: 200, lane: 8, delivered: 1, read: 0 })
    const { request } = rig.lastPacket('query')
    const answer = { destination: 200, count: 1, lane: 8, timeMs: serverStartMs, delivered: 0, read: 0, members: 1 }
    rig.say({ kind: 'statuses', request, statuses: [{ ...answer, status: code('sent') }] })
    expect(rig.statuses()).toEqual(['sent', 'delivered'])
  })

  it('begins anew: a user that was deleted and made again counts from 1 [I6]', () => {
    const rig = new Rig().live()
    rig.send()
    rig.send()
    rig.say(result(rig, 1))
    rig.say({ kind: 'mark', destination: 200, lane: 8, delivered: 1, read: 0 })
    rig.reconnect({ identity: 99 })
    rig.say(result(rig, 1))
    expect(rig.statuses()).toEqual(['sent', 'delivered', 'sent'])
  })
})
