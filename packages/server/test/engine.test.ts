import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Command, encodeRecord, keyBounds, keyGraceMs } from '@posthaste/core'
import { Writer } from '@posthaste/protocol'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Engine, type Store } from '../src/engine.ts'
import { createLogger } from '../src/logging.ts'
import { FreeSpace } from '../src/storage/free-space.ts'
import { LmdbTables } from '../src/storage/tables.ts'

const logger = createLogger({ level: 'silent' })
const startMs = 1_800_000_000_000
const deadlineMs = startMs + 1_000
const endMs = deadlineMs + keyGraceMs

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'posthaste-engine-'))
})
afterEach(() => {
  vi.restoreAllMocks()
  return rm(directory, { recursive: true, force: true })
})

const open = (name: string, shards = 1) => Engine.open(join(directory, name), shards, logger, { bytes: 0, ms: 0 })
const onlyStore = (engine: Engine): Store => {
  const [store] = engine.stores
  if (store === undefined) throw new Error('no store')
  return store
}
const create = (user: string): Command => ({ kind: 'userCreate', tag: 0, ref: 0, user })
const identityOf = (store: Store, user: string): number => store.shard.state.addresses.get(0, user)?.identity ?? 0

/** Appends a record and applies it at once: that it is flushed by the end of the test is enough here. */
function record(store: Store, clockMs: number, ...commands: Command[]): Promise<void> {
  const position = store.shard.position + 1
  const content = { clockMs, incarnation: 1, number: position, commands }
  const bytes = encodeRecord(content, new Writer(1_024))
  store.journalBytes += bytes.length
  store.shard.apply(position, content)
  return store.journal.append(position, bytes)
}

function send(store: Store, id: bigint, deadline: number): Command {
  const from = { tag: 0, ref: 0, sender: identityOf(store, 'alice'), senderName: 'alice', device: '' }
  const what = { id, type: 0, priority: 8, receipts: true, isTooLarge: false, hash: '0'.repeat(16), body: new Uint8Array(3) }
  return { kind: 'send', ...from, toKind: 0, to: 'bob', deadlineMs: deadline, ...what }
}

/** Has a checkpoint made, and the keys past their time swept. */
async function checkpoint(engine: Engine, meanwhile: () => void = () => {}): Promise<void> {
  const store = onlyStore(engine)
  const { position } = store.shard
  engine.step()
  meanwhile()
  await expect.poll(() => store.checkpointPosition, { timeout: 20_000 }).toBe(position)
  await new Promise((resolve) => setTimeout(resolve, 300))
}

it('[I11] [I12] replays a retry that found its key, though the key ended during the checkpoint before it', async () => {
  const engine = await open('data')
  const store = onlyStore(engine)
  await record(store, startMs, { kind: 'begin', incarnation: 1, epoch: 1, shards: 1 }, create('alice'), create('bob'))
  await record(store, startMs, send(store, 1n, deadlineMs), send(store, 2n, deadlineMs))
  await record(store, endMs - 2, create('carol'))
  await checkpoint(engine)

  const appended: Promise<void>[] = [record(store, endMs - 1, create('dora'))]
  await checkpoint(engine, () => {
    appended.push(record(store, endMs - 1, send(store, 1n, endMs + 1_000)), record(store, endMs, create('erna')))
  })
  await Promise.all(appended)
  // What a kill would leave: the checkpoint, and the records after it.
  await cp(join(directory, 'data'), join(directory, 'killed'), { recursive: true })
  const replayed = await open('killed')
  const headOf = (one: Store) => one.shard.state.log(identityOf(one, 'bob'))?.lanes[8]?.head
  expect(onlyStore(replayed).shard.position).toBe(store.shard.position)
  expect([headOf(store), headOf(onlyStore(replayed))]).toEqual([2, 2])
  await Promise.all([engine.close(), replayed.close()])
})

it('[I10] sweeps more keys than were written meanwhile, so that those past their time are never many', async () => {
  const engine = await open('data')
  const store = onlyStore(engine)
  const keys = (): number => store.tables.scan(...keyBounds, 100_000).length
  await record(store, startMs, { kind: 'begin', incarnation: 1, epoch: 1, shards: 1 }, create('alice'), create('bob'))
  const sizes: number[] = []
  const swept = vi.spyOn(store.tables, 'sweepKeys')
  for (let round = 1; round <= 4; round++) {
    const clockMs = startMs + 2 * round * keyGraceMs
    const sends = Array.from({ length: 2_500 }, (_, at) => send(store, BigInt(round * 100_000 + at), clockMs + 1_000))
    await record(store, clockMs, ...sends)
    await checkpoint(engine)
    await expect.poll(() => swept.mock.settledResults.length === round && store.sweptTo === null, { timeout: 20_000 }).toBe(true)
    sizes.push(keys())
  }
  // What lives, each time: all others are past their time when they are looked at.
  expect(sizes).toEqual([2_500, 2_500, 2_500, 2_500])
  expect(swept.mock.calls[0]).toEqual([null, startMs + 2 * keyGraceMs, 7_000])
  await engine.close()
})

it('[I10] ends a sweep early when it closes', async () => {
  const engine = await open('data')
  const store = onlyStore(engine)
  await record(store, startMs, { kind: 'begin', incarnation: 1, epoch: 1, shards: 1 }, create('alice'), create('bob'))
  await record(store, startMs, ...Array.from({ length: 11_000 }, (_, at) => send(store, BigInt(at + 1), deadlineMs)))
  const swept = vi.spyOn(store.tables, 'sweepKeys')
  swept.mockImplementationOnce(async () => {
    closed = engine.close()
    return new Uint8Array([5, 1])
  })
  let closed: Promise<void> | undefined
  engine.step()
  await expect.poll(() => swept.mock.calls.length, { timeout: 20_000 }).toBe(1)
  await closed
  expect(swept).toHaveBeenCalledTimes(1)
})

it('refuses rows of another version, and says so', async () => {
  const engine = await open('data')
  await engine.close()
  const tables = LmdbTables.open(join(directory, 'data', 'shard-0', 'tables'))
  const checkpoint = tables.beginCheckpoint()
  // The row of the shard as a whole, as it was before rows had a version: an array.
  checkpoint.put(
    Uint8Array.from({ length: 17 }, (_, at) => (at === 0 ? 1 : 0)),
    Uint8Array.of(0x91, 0),
  )
  await checkpoint.commit()
  await tables.close()
  await expect(open('data')).rejects.toThrow(/are not of version 3, which is this server's/)
})

it('[I12] is open only once the thread that writes checkpoints has opened the tables: a process that ended before would abort', async () => {
  const { ready } = LmdbTables.prototype
  let letGo = (): void => {}
  const gate = new Promise<void>((resolve) => (letGo = resolve))
  const waiting = new Promise<void>((resolve) => {
    vi.spyOn(LmdbTables.prototype, 'ready').mockImplementation(async function (this: LmdbTables) {
      resolve()
      await gate
      await ready.call(this)
    })
  })
  let isOpen = false
  const opening = open('data').then((engine) => {
    isOpen = true
    return engine
  })
  await Promise.race([waiting, opening])
  await new Promise((resolve) => setImmediate(resolve))
  expect(isOpen).toBe(false)
  letGo()
  await (await opening).close()
})

it('leaves nothing open when that thread can not open the tables', async () => {
  vi.spyOn(LmdbTables.prototype, 'ready').mockRejectedValueOnce(new Error('no tables'))
  await expect(open('data')).rejects.toThrow('no tables')
  await (await open('data')).close()
})

it('[I12] begins no checkpoint beside the last one, which closing makes', async () => {
  const engine = await open('data')
  await record(onlyStore(engine), startMs, create('alice'))
  const closed = engine.close()
  engine.step()
  await closed
  const again = await open('data')
  expect(onlyStore(again).checkpointPosition).toBe(1)
  await again.close()
})

it('[I1] [I12] counts as taken what the tables have still to take, until a checkpoint has brought it there', async () => {
  const bytes = vi.spyOn(FreeSpace.prototype, 'bytes').mockReturnValue(1_000_000)
  const engine = await open('data')
  const store = onlyStore(engine)
  await record(store, startMs, create('alice'))
  const taken = store.journalBytes
  expect(taken).toBeGreaterThan(0)
  expect(engine.freeBytes()).toBe(1_000_000 - taken)
  const forget = vi.spyOn(FreeSpace.prototype, 'forget')
  await checkpoint(engine, () => expect([store.journalBytes, engine.freeBytes()]).toEqual([0, 1_000_000 - taken]))
  expect(engine.freeBytes()).toBe(1_000_000)
  expect(forget).toHaveBeenCalledTimes(1)
  await record(store, startMs, create('bob'))
  bytes.mockReturnValue(1)
  expect(engine.freeBytes()).toBe(0)
  bytes.mockRestore()
  await engine.close()
})

/** What lies below a directory, with the bytes of its journals. */
async function contentOf(path: string): Promise<unknown[]> {
  const names = (await readdir(path, { recursive: true })).filter((name) => name.startsWith('shard-')).sort()
  const isJournal = (name: string): boolean => name.endsWith('.journal')
  return Promise.all(names.map(async (name) => [name, isJournal(name) ? await readFile(join(path, name), 'hex') : '']))
}

it.each([
  ['fewer shards', 4, 1, [0, 1, 2, 3]],
  ['fewer shards, of which one alone had come to write', 4, 2, [2]],
  ['more shards', 1, 4, [0]],
  ['more shards, of which the first had not come to write', 2, 4, [1]],
])('[I1] refuses %s than a young directory was made with, whose tables are empty, and leaves it as it is', async (...row) => {
  const [, made, given, written] = row
  const path = join(directory, 'young')
  const engine = await open('young', made)
  for (const index of written) {
    const store = engine.stores[index] as Store
    await record(store, startMs, { kind: 'begin', incarnation: 1, epoch: 1, shards: made }, create('alice'))
  }
  await abandon(engine)
  const before = await contentOf(path)
  await expect(open('young', given)).rejects.toMatchObject({
    code: 'shards-differ',
    message: `${path} was made with ${made} shards, not ${given}: start with --shards ${made}`,
  })
  expect(await contentOf(path)).toEqual(before)
  const again = await open('young', made)
  for (const index of written) expect(identityOf(again.stores[index] as Store, 'alice')).toBeGreaterThan(0)
  await again.close()
})

it('opens a directory with fewer shards in which nothing was written', async () => {
  await abandon(await open('empty', 4))
  await rm(join(directory, 'empty', 'shard-3', 'journal'), { recursive: true })
  await (await open('empty', 1)).close()
})

/** Closes as a kill would: without a checkpoint. */
async function abandon(engine: Engine): Promise<void> {
  for (const { journal, tables } of engine.stores) await Promise.all([journal.close(), tables.close()])
  await engine.directory.close()
}

/** Makes the directory `one`, of which record 1 is in the tables and record 2 in the journal alone. */
async function leaveTail(): Promise<void> {
  const engine = await open('one')
  const store = onlyStore(engine)
  await record(store, startMs, create('alice'))
  await checkpoint(engine)
  await record(store, startMs, create('bob'))
  await abandon(engine)
}

it('[I12] tells that records are missing between the tables and the journal', async () => {
  await leaveTail()
  const tables = join(directory, 'one', 'shard-0', 'tables')
  await cp(tables, join(directory, 'kept'), { recursive: true })
  await rm(tables, { recursive: true })
  await expect(open('one')).rejects.toMatchObject({
    code: 'journal-failed',
    message: expect.stringContaining('records 1 to 1 are'),
  })
  await rm(tables, { recursive: true })
  await cp(join(directory, 'kept'), tables, { recursive: true })
  const again = await open('one')
  expect(onlyStore(again).shard.position).toBe(2)
  await again.close()
  await rm(tables, { recursive: true })
  await expect(open('one')).rejects.toMatchObject({
    code: 'journal-failed',
    message: expect.stringContaining('records 1 to 2 are'),
  })
})

it('[I12] tells that the journal is gone, or older than the tables, of which nothing else would remind it', async () => {
  await leaveTail()
  await rm(join(directory, 'one', 'shard-0', 'journal'), { recursive: true })
  await expect(open('one')).rejects.toMatchObject({
    code: 'journal-failed',
    message: expect.stringContaining('records 1 to 1 are missing'),
  })
})
