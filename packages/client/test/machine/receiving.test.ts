import { describe, expect, it } from 'vitest'
import { rowKey, tables } from '../../src/machine/rows.ts'
import { Message } from '../../src/message.ts'
import { code, deliver, Disk, Rig, serverStartMs } from './rig.ts'

const acks = (rig: Rig): unknown[] => rig.sent('ack').map(({ upTo, notStored }) => [upTo, notStored])
const texts = (rig: Rig): string[] => rig.handled().map(({ entry }) => new TextDecoder().decode(entry.body))

describe('the inbox', () => {
  it('acknowledges only what is stored [I1]', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    rig.say(deliver(1), deliver(2))
    expect(rig.sent('ack')).toEqual([])
    rig.release()
    expect(acks(rig)).toEqual([[2, []]])
    expect(rig.disk.count(tables.inbox)).toBe(2)
  })

  it('gathers what comes while a commit is under way into the next one', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    rig.clear()
    for (let seq = 1; seq <= 20; seq++) rig.say(deliver(seq))
    rig.release()
    expect(rig.all('commit')).toHaveLength(2)
    expect(acks(rig)).toEqual([
      [1, []],
      [20, []],
    ])
  })

  it('does not acknowledge, nor hand over, what was lost in a crash before the commit [I12]', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.isHolding = true
    rig.say(deliver(1))
    const restarted = new Rig(rig.disk).open()
    expect(restarted.greet().cursors).toEqual([])
    expect(rig.handled()).toEqual([])
  })

  it('says in HELLO what was stored before a crash and not acknowledged', () => {
    const rig = new Rig().live()
    rig.say(deliver(1), deliver(2))
    const restarted = new Rig(rig.disk).open()
    expect(restarted.greet().cursors).toEqual([{ log: 100, lane: 8, seq: 2, notStored: [] }])
  })

  it('drops a duplicate, and acknowledges again [I2]', () => {
    const rig = new Rig().live()
    rig.say(deliver(1), deliver(2))
    rig.say(deliver(1), deliver(2))
    expect(acks(rig)).toEqual([
      [2, []],
      [2, []],
    ])
    expect(rig.notices('message')).toHaveLength(2)
  })

  it('gives the connection up at a gap, and takes nothing from it [I3]', () => {
    const rig = new Rig().live()
    rig.say(deliver(1))
    rig.say(deliver(3), deliver(2))
    expect(rig.machine.connection).toMatchObject({ status: 'waiting', fault: { code: 'protocol-error' } })
    expect(rig.last('closeSocket').closeCode).toBe(4_000 + code('protocol-error'))
    rig.step({ kind: 'timer', timer: 'connection' })
    expect(rig.greet().cursors).toMatchObject([{ seq: 1 }])
    expect(rig.notices('message')).toHaveLength(1)
  })

  it('passes an entry at its deadline without storing it, and says so [I5]', () => {
    const rig = new Rig().live()
    // The latest possible time of the server is one millisecond above what it said.
    rig.say(deliver(1), deliver(2, { deadlineMs: serverStartMs + 1 }), deliver(3, { deadlineMs: serverStartMs + 2 }))
    expect(acks(rig)).toEqual([[3, [{ from: 2, to: 2 }]]])
    expect(rig.notices('message').map(({ entry }) => entry.position.seq)).toEqual([1, 3])
  })

  it('judges an entry when its commit begins, not when it came [I5]', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    rig.say(deliver(1))
    rig.say(deliver(2, { deadlineMs: serverStartMs + 100 }))
    rig.advance(200)
    rig.release()
    expect(rig.notices('message').map(({ entry }) => entry.position.seq)).toEqual([1])
    expect(acks(rig).at(-1)).toEqual([2, [{ from: 2, to: 2 }]])
  })

  it('judges nothing after the clock jumped, until the server has said what time it is [I5]', () => {
    const rig = new Rig().live()
    rig.wallMs += 60_000
    rig.say(deliver(1, { deadlineMs: serverStartMs + 30_000 }))
    expect(rig.notices('message')).toEqual([])
    const { clientTime } = rig.lastPacket('ping')
    rig.say({ kind: 'pong', clientTime, serverTimeMs: serverStartMs + 60_000 })
    expect(acks(rig)).toEqual([[1, [{ from: 1, to: 1 }]]])
  })

  it('joins skipped ranges, from the cursor on, and ignores a SKIP below it', () => {
    const rig = new Rig().live()
    const skip = (from: number, to: number) => ({ kind: 'skip', log: 100, lane: 8, from, to, reason: 1 }) as const
    rig.say(skip(1, 5), skip(3, 8), skip(2, 4), deliver(9))
    expect(acks(rig)).toEqual([[9, [{ from: 1, to: 8 }]]])
    rig.say(skip(11, 12))
    expect(rig.machine.connection.status).toBe('waiting')
  })

  it('repeats ranges in HELLO until ACKED covers them', () => {
    const rig = new Rig().live()
    rig.say({ kind: 'skip', log: 100, lane: 8, from: 1, to: 4, reason: 2 }, deliver(5))
    rig.reconnect()
    expect(rig.lastPacket('hello').cursors).toEqual([{ log: 100, lane: 8, seq: 5, notStored: [{ from: 1, to: 4 }] }])
    rig.say({ kind: 'acked', log: 100, lane: 8, upTo: 3 })
    rig.reconnect()
    expect(rig.lastPacket('hello').cursors).toMatchObject([{ notStored: [{ from: 4, to: 4 }] }])
    rig.say({ kind: 'acked', log: 100, lane: 8, upTo: 5 })
    rig.reconnect()
    expect(rig.lastPacket('hello').cursors).toMatchObject([{ seq: 5, notStored: [] }])
    const restarted = new Rig(rig.disk).open()
    expect(restarted.greet().cursors).toMatchObject([{ seq: 5, notStored: [] }])
  })

  it('splits more than 256 ranges over several ACKs; HELLO falls back to what it can say, and what follows is acknowledged as it comes again [I6] [I10]', () => {
    const rig = new Rig(new Disk(), { inboxMessages: 1_000 }).live()
    const packets = Array.from({ length: 600 }, (_, at) => deliver(at + 1, at % 2 === 0 ? { deadlineMs: 1 } : {}))
    rig.say(...packets)
    expect(rig.sent('ack').map(({ upTo, notStored }) => [upTo, notStored.length])).toEqual([
      [512, 256],
      [600, 44],
    ])
    rig.clear()
    rig.reconnect()
    expect(rig.lastPacket('hello').cursors.map(({ seq, notStored }) => [seq, notStored.length])).toEqual([[512, 256]])
    expect(rig.sent('ack')).toEqual([])
    rig.say(...packets.slice(512, 552))
    rig.say(...packets.slice(552), deliver(601))
    expect(rig.sent('ack').map(({ upTo, notStored }) => [upTo, notStored.length])).toEqual([
      [552, 20],
      [600, 24],
      [601, 0],
    ])
  })

  it('takes a new epoch: drops all cursors in one commit, and what it has by key [I2]', () => {
    const rig = new Rig().live()
    rig.say(deliver(1), deliver(2))
    rig.reconnect({ epoch: 8 })
    rig.say(deliver(1, { id: 1_002n }), deliver(2, { id: 1_003n }))
    const lookup = rig.last('lookup')
    rig.step({ kind: 'found', lookup: lookup.lookup, values: lookup.keys.map((key) => rig.disk.get(key)) })
    expect(rig.notices('message').map(({ entry }) => [entry.position.epoch, entry.id])).toEqual([
      [7, 1_001n],
      [7, 1_002n],
      [8, 1_003n],
    ])
    // What it has counts as stored.
    expect(acks(rig).at(-1)).toEqual([2, []])
    rig.reconnect({ epoch: 8 })
    expect(rig.lastPacket('hello')).toMatchObject({ epoch: 8, cursors: [{ seq: 2 }] })
  })

  it('looks keys up in the store after a restart in the new epoch, too [I2]', () => {
    const rig = new Rig().live()
    rig.say(deliver(1))
    rig.reconnect({ epoch: 8 })
    const restarted = new Rig(rig.disk).live({ epoch: 8 })
    restarted.say(deliver(1))
    const { lookup, keys } = restarted.last('lookup')
    expect(keys).toEqual([rowKey(tables.key, 100, 200, 1_001n)])
    restarted.step({ kind: 'found', lookup, values: keys.map((key) => restarted.disk.get(key)) })
    expect(restarted.notices('message')).toEqual([])
    expect(acks(restarted)).toEqual([[1, []]])
  })

  it('skips entries with id 0 from before the restore', () => {
    const rig = new Rig().live()
    rig.reconnect({ epoch: 8 })
    rig.say(deliver(1, { id: 0n, timeMs: rig.serverMs - 1 }), deliver(2, { id: 0n, timeMs: rig.serverMs }))
    expect(rig.notices('message').map(({ entry }) => entry.position.seq)).toEqual([2])
  })

  it('drops no cursors of a store that never knew an epoch', () => {
    const rig = new Rig().open()
    expect(rig.greet().epoch).toBe(0)
  })

  it('gives what another device of the user sent to observers only', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1, { sender: 100, senderName: 'alice', echoTo: { toKind: 0, to: 'carol' } }))
    expect(rig.notices('message')).toMatchObject([{ isOutgoing: true, entry: { to: 'carol' } }])
    expect(rig.handled()).toEqual([])
    expect(acks(rig)).toEqual([[1, []]])
    expect(rig.disk.count(tables.inbox)).toBe(0)
  })

  it('tells messages of one id apart that the user sent to several, and to itself [I2]', () => {
    const rig = new Rig().live()
    rig.receive()
    const own = { sender: 100, senderName: 'alice', id: 9n } as const
    rig.say(
      deliver(1, { ...own, echoTo: { toKind: 0, to: 'carol' } }),
      deliver(2, { ...own, echoTo: { toKind: 0, to: 'bob' } }),
      deliver(3, { ...own, echoTo: { toKind: 0, to: 'carol' } }),
      deliver(4, own),
    )
    expect(rig.notices('message').map(({ entry, isOutgoing }) => [entry.to, isOutgoing])).toEqual([
      ['carol', true],
      ['bob', true],
      ['alice', false],
    ])
    expect(rig.handled()).toMatchObject([{ entry: { id: 9n, position: { seq: 4 } } }])
    const keys = [new Message(rig.notices('message')[0]?.entry ?? expect.fail(), false, true)].map(({ key }) => key)
    expect(keys).toEqual(['to-0-Y2Fyb2w-9-1900000000000'])
  })

  it('knows in a new epoch what another device of the user had sent [I2]', () => {
    const rig = new Rig().live()
    const echo = { sender: 100, senderName: 'alice', id: 9n, echoTo: { toKind: 0, to: 'carol' } } as const
    rig.say(deliver(1, echo))
    const restarted = new Rig(rig.disk).live({ epoch: 8 })
    restarted.say(deliver(1, echo), deliver(2, { ...echo, echoTo: { toKind: 0, to: 'bob' } }))
    const { lookup, keys } = restarted.last('lookup')
    restarted.step({ kind: 'found', lookup, values: keys.map((key) => restarted.disk.get(key)) })
    expect(restarted.notices('message').map(({ entry }) => entry.to)).toEqual(['bob'])
  })

  it('knows a group by the identity that WELCOME named, also after it was left', () => {
    const rig = new Rig().live({ groups: [{ identity: 300, group: 'team', roles: 3 }] })
    rig.reconnect()
    rig.say(deliver(1, { log: 300 }))
    expect(rig.notices('message')).toMatchObject([{ entry: { toKind: 1, to: 'team' } }])
    expect(rig.notices('group').map(({ rights }) => rights.roles)).toEqual([3, 0])
  })

  it('holds entries back while the inbox is full, and goes on when handlers make room [I10]', () => {
    const rig = new Rig(new Disk(), { inboxMessages: 2 }).live()
    rig.say(deliver(1), deliver(2), deliver(3))
    expect(acks(rig)).toEqual([[2, []]])
    rig.receive()
    rig.step({ kind: 'handlerDone', run: rig.handled()[0]?.run ?? 0 })
    expect(acks(rig).at(-1)).toEqual([3, []])
  })

  it('takes nothing of a failed commit for stored: the entries come again over a new connection [I12]', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    rig.say(deliver(1))
    rig.fail()
    rig.isHolding = false
    expect(rig.machine.connection.status).toBe('waiting')
    rig.step({ kind: 'timer', timer: 'store' })
    rig.step({ kind: 'timer', timer: 'connection' })
    rig.live()
    expect(rig.lastPacket('hello').cursors).toEqual([])
    rig.say(deliver(1))
    expect(acks(rig)).toEqual([[1, []]])
    expect(rig.notices('message')).toHaveLength(1)
  })
})

describe('handlers', () => {
  it('get one message at a time per lane, in order, across lanes side by side [I3]', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1), deliver(2), deliver(1, { lane: 0, id: 5n }))
    expect(texts(rig)).toEqual(['message 1', 'message 1'])
    rig.step({ kind: 'handlerDone', run: 1 })
    expect(texts(rig)).toEqual(['message 1', 'message 1', 'message 2'])
    expect(rig.handled().map(({ redelivered }) => redelivered)).toEqual([false, false, false])
  })

  it('get what was stored while there was none', () => {
    const rig = new Rig().live()
    rig.say(deliver(1))
    const restarted = new Rig(rig.disk).live()
    restarted.receive()
    expect(restarted.handled()).toMatchObject([{ redelivered: false, attempt: 1 }])
  })

  it('are started only once the store says that they may have been', () => {
    const rig = new Rig().live()
    rig.say(deliver(1))
    rig.isHolding = true
    rig.receive()
    rig.step({ kind: 'timer', timer: 'handlers' })
    expect(rig.handled()).toEqual([])
    rig.release()
    expect(rig.handled()).toHaveLength(1)
  })

  it('get a message again as redelivered after a crash while they ran', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1))
    const restarted = new Rig(rig.disk).open()
    restarted.receive()
    expect(restarted.handled()).toMatchObject([{ redelivered: true }])
  })

  it('start once the acknowledgement before is durable, so that after a crash only one message comes again', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1), deliver(2), deliver(3))
    rig.isHolding = true
    rig.step({ kind: 'handlerDone', run: 1 })
    expect(texts(rig)).toEqual(['message 1'])
    const crashed = new Rig(rig.disk).open()
    crashed.receive()
    crashed.step({ kind: 'handlerDone', run: 1 })
    expect(crashed.handled().map(({ entry, redelivered }) => [entry.position.seq, redelivered])).toEqual([
      [1, true],
      [2, false],
    ])
  })

  it('start at once when the app asks for speed; what was not durable comes again', () => {
    const rig = new Rig().live()
    rig.receive([], true)
    rig.say(deliver(1), deliver(2), deliver(3))
    rig.isHolding = true
    for (let run = 1; run <= 3; run++) rig.step({ kind: 'handlerDone', run })
    expect(texts(rig)).toEqual(['message 1', 'message 2', 'message 3'])
    const crashed = new Rig(rig.disk).open()
    crashed.receive()
    expect(crashed.handled()).toMatchObject([{ redelivered: true, entry: { position: { seq: 1 } } }])
  })

  it('get nothing again that they have ended', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1))
    rig.step({ kind: 'handlerDone', run: 1 })
    const restarted = new Rig(rig.disk).open()
    restarted.receive()
    expect(restarted.handled()).toEqual([])
  })

  it('get nothing as redelivered after a clean close that was never started', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1), deliver(2), deliver(3))
    rig.ask({ kind: 'close' })
    const restarted = new Rig(rig.disk).open()
    restarted.receive()
    restarted.step({ kind: 'handlerDone', run: 1 })
    expect(restarted.handled().map(({ redelivered }) => redelivered)).toEqual([true, false])
  })

  it('get a message again after the time that their policy names, and the lane waits', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1), deliver(2))
    rig.step({ kind: 'handlerFailed', run: 1, decision: { retryInMs: 500 } })
    expect(rig.handled()).toHaveLength(1)
    rig.advance(500)
    rig.step({ kind: 'timer', timer: 'handlers' })
    expect(rig.handled().map(({ entry, redelivered }) => [entry.position.seq, redelivered])).toEqual([
      [1, false],
      [1, true],
    ])
  })

  it('set a message aside, durably, and take it again when asked', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1), deliver(2))
    rig.step({ kind: 'handlerFailed', run: 1, decision: 'set-aside' })
    expect(rig.handled().map(({ entry }) => entry.position.seq)).toEqual([1, 2])
    const restarted = new Rig(rig.disk).open()
    const listed = restarted.answer(restarted.ask({ kind: 'listSetAside' }))
    const position = { epoch: 7, log: 100, lane: 8, seq: 1 }
    expect(listed).toMatchObject({ kind: 'setAside', entries: [{ position }] })
    restarted.ask({ kind: 'setAside', action: 'retry', position })
    restarted.receive()
    restarted.step({ kind: 'handlerDone', run: 1 })
    expect(restarted.handled().map(({ entry, redelivered }) => [entry.position.seq, redelivered])).toEqual([
      [2, true],
      [1, true],
    ])
    // Until its handler has taken it, it is kept where it was: a crash must not lose it.
    expect(restarted.disk.count(tables.setAside)).toBe(1)
    restarted.step({ kind: 'handlerDone', run: 2 })
    expect(restarted.disk.count(tables.setAside)).toBe(0)
  })

  it('say that what was set aside is dropped once that is durable', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1))
    rig.step({ kind: 'handlerFailed', run: 1, decision: 'set-aside' })
    rig.isHolding = true
    const call = rig.ask({ kind: 'setAside', action: 'drop', position: { epoch: 7, log: 100, lane: 8, seq: 1 } })
    expect(rig.answer(call)).toBeUndefined()
    rig.fail()
    expect(rig.answer(call)).toBeUndefined()
    rig.step({ kind: 'timer', timer: 'store' })
    rig.release()
    expect(rig.answer(call)).toEqual({ kind: 'done' })
    expect(rig.disk.count(tables.setAside)).toBe(0)
  })

  it('stop when their policy says so, and keep the message', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1), deliver(2))
    rig.step({ kind: 'handlerFailed', run: 1, decision: 'stop' })
    expect(rig.all('stopReceiving')).toHaveLength(1)
    expect(rig.handled()).toHaveLength(1)
    expect(rig.disk.count(tables.inbox)).toBe(2)
  })

  it('answer a stop once the running one has ended and that is stored', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1), deliver(2))
    const call = rig.ask({ kind: 'stopReceiving' })
    expect(rig.answer(call)).toBeUndefined()
    rig.isHolding = true
    rig.step({ kind: 'handlerDone', run: 1 })
    expect(rig.answer(call)).toBeUndefined()
    rig.release()
    expect(rig.answer(call)).toEqual({ kind: 'done' })
    expect(rig.handled()).toHaveLength(1)
  })

  it.each([
    ['begin once the store is open, though others were stopped before it was [I1]', [1], ['receive', 'stop', 'receive']],
    ['do not begin once the store is open when they were stopped before it was', [], ['receive', 'receive', 'stop']],
  ] as const)('%s', (_name, handled, steps) => {
    const rig = new Rig()
    for (const step of steps) {
      if (step === 'receive') rig.receive()
      else rig.ask({ kind: 'stopReceiving' })
    }
    rig.open().live().say(deliver(1))
    expect(rig.handled().map(({ entry }) => entry.position.seq)).toEqual(handled)
  })

  it('get nothing at or below the positions that the app keeps', () => {
    const rig = new Rig().live()
    rig.say(deliver(1), deliver(2), deliver(3), deliver(1, { lane: 0, id: 5n }))
    rig.receive([{ epoch: 7, log: 100, lane: 8, seq: 2 }])
    expect(rig.handled().map(({ entry }) => [entry.position.lane, entry.position.seq])).toEqual([
      [8, 3],
      [0, 1],
    ])
    expect(rig.disk.count(tables.inbox)).toBe(2)
  })
})

describe('marking read', () => {
  const position = (seq: number) => ({ epoch: 7, log: 100, lane: 8, seq })

  it('is stored, told once the message is acknowledged, and repeated until READ_MARK', () => {
    const rig = new Rig().live()
    rig.say(deliver(1), deliver(2))
    const call = rig.ask({ kind: 'markRead', position: position(2), sender: 200, count: 2 })
    expect(rig.answer(call)).toEqual({ kind: 'done' })
    const read = { kind: 'read', log: 100, lane: 8, seq: 2, sender: 200, count: 2 }
    expect(rig.sent('read')).toEqual([read])
    const restarted = new Rig(rig.disk).live()
    expect(restarted.sent('read')).toEqual([read])
    restarted.say({ kind: 'readMark', log: 100, lane: 8, sender: 200, mark: 2 })
    restarted.reconnect()
    expect(restarted.sent('read')).toHaveLength(1)
    expect(restarted.disk.count(tables.read)).toBe(0)
  })

  it('comes after the ACK that it rests on', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    rig.say(deliver(1))
    rig.ask({ kind: 'markRead', position: position(1), sender: 200, count: 1 })
    expect(rig.sent('read')).toEqual([])
    rig.release()
    const order = rig.packets.filter(({ kind }) => kind === 'ack' || kind === 'read').map(({ kind }) => kind)
    expect(order).toEqual(['ack', 'read'])
  })

  it('of an older message changes nothing', () => {
    const rig = new Rig().live()
    rig.say(deliver(1), deliver(2))
    rig.ask({ kind: 'markRead', position: position(2), sender: 200, count: 2 })
    rig.ask({ kind: 'markRead', position: position(1), sender: 200, count: 1 })
    expect(rig.sent('read')).toHaveLength(1)
  })

  it('is forgotten in a new epoch, whose counts are others', () => {
    const rig = new Rig().live()
    rig.say(deliver(1))
    rig.ask({ kind: 'markRead', position: position(1), sender: 200, count: 1 })
    rig.clear()
    rig.reconnect({ epoch: 8 })
    expect(rig.sent('read')).toEqual([])
    expect(rig.disk.count(tables.read)).toBe(0)
  })
})
