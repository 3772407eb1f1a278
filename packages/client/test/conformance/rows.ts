import type { StoreWrite } from '../../src/store.ts'
import { assertBytes, assertRejects, assertSame, bytes, shown, utf8 } from './assertions.ts'
import { type StoreCase, withStore } from './store-case.ts'

/** Keys whose order differs between bytes, signed bytes, text and numbers, in the order of bytes. */
const orderedKeys = [
  bytes(0),
  bytes(0, 0),
  bytes(0, 255),
  bytes(1),
  bytes(9),
  bytes(10),
  bytes(0x31),
  bytes(0x31, 0x30),
  bytes(0x32),
  bytes(0x7f),
  bytes(0x7f, 0xff, 0xff),
  bytes(0x80),
  bytes(0x80, 0),
  bytes(0xc3, 0x28),
  bytes(0xff),
  bytes(0xff, 0xff),
]

/** Where scans start and end, at either side of every key. */
const nothing = bytes()
const everything = new Uint8Array(513).fill(0xff)

/** Cases about single rows: bytes, keys, order, ranges. */
export const rowCases: StoreCase[] = [
  {
    name: 'gives back every byte of a value, and nothing for a key that is absent',
    run: (make) =>
      withStore(make, async (store) => {
        const all = Uint8Array.from({ length: 256 }, (_, index) => index)
        await store.commit([
          [utf8('all'), all],
          [utf8('empty'), bytes()],
        ])
        assertBytes(await store.get(utf8('all')), all, 'all bytes')
        assertBytes(await store.get(utf8('empty')), bytes(), 'empty value')
        assertBytes(await store.get(utf8('al')), undefined, 'a prefix of a key')
        assertBytes(await store.get(utf8('all ')), undefined, 'a longer key')
      }),
  },
  {
    name: 'keeps a value of 1 MiB whole',
    run: (make) =>
      withStore(make, async (store) => {
        const body = new Uint8Array(1 << 20)
        for (let index = 0; index < body.length; index++) body[index] = (index * 31 + (index >> 8)) & 255
        await store.commit([[utf8('big'), body]])
        const stored = await store.get(utf8('big'))
        assertSame(stored?.length, body.length, 'length')
        assertSame(
          stored?.every((byte, index) => byte === body[index]),
          true,
          'every byte',
        )
      }),
  },
  {
    name: 'replaces a row, deletes it, and deletes what is absent without an error',
    run: (make) =>
      withStore(make, async (store) => {
        const key = utf8('k')
        await store.commit([[key, bytes(1)]])
        await store.commit([[key, bytes(2)]])
        assertBytes(await store.get(key), bytes(2), 'replaced')
        await store.commit([[key, null]])
        assertBytes(await store.get(key), undefined, 'deleted')
        await store.commit([[key, null]])
        assertSame(shown(await store.scan(nothing, everything, 10)), [], 'all rows')
      }),
  },
  {
    name: 'takes keys of 1 to 512 bytes and refuses others before anything is applied',
    run: (make) =>
      withStore(make, async (store) => {
        const longest = new Uint8Array(512).fill(7)
        await store.commit([
          [bytes(0), bytes(1)],
          [longest, bytes(2)],
        ])
        assertBytes(await store.get(bytes(0)), bytes(1), 'shortest key')
        assertBytes(await store.get(longest), bytes(2), 'longest key')
        for (const key of [bytes(), new Uint8Array(513)]) {
          const writes: StoreWrite[] = [
            [utf8('beside'), bytes(3)],
            [key, bytes(3)],
          ]
          await assertRejects(() => store.commit(writes), 'store-failed', `a key of ${key.length} bytes`)
        }
        assertBytes(await store.get(utf8('beside')), undefined, 'the write beside it')
      }),
  },
  {
    name: 'scans in the order of bytes, a prefix first, wherever the rows were written',
    run: (make) =>
      withStore(make, async (store) => {
        for (const key of [...orderedKeys].reverse()) await store.commit([[key, key]])
        const expected = shown(orderedKeys.map((key) => [key, key]))
        assertSame(shown(await store.scan(nothing, everything, 100)), expected, 'all rows')
      }),
  },
  {
    name: 'scans from a key that is included to a key that is not, for every pair of bounds',
    run: (make) =>
      withStore(make, async (store) => {
        await store.commit(orderedKeys.map((key) => [key, key]))
        for (const [first, from] of orderedKeys.entries()) {
          for (const [last, to] of orderedKeys.entries()) {
            const expected = shown(orderedKeys.slice(first, Math.max(first, last)).map((key) => [key, key]))
            assertSame(shown(await store.scan(from, to, 100)), expected, `rows ${first} to ${last}`)
          }
        }
      }),
  },
  {
    name: 'scans at most as many rows as asked for, none for a limit of 0, all for an unbounded one',
    run: (make) =>
      withStore(make, async (store) => {
        await store.commit(orderedKeys.map((key) => [key, key]))
        for (const limit of [0, -1, 1, 3, orderedKeys.length, 1000, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY]) {
          const rows = await store.scan(nothing, everything, limit)
          assertSame(rows.length, Math.max(0, Math.min(limit, orderedKeys.length)), `rows at limit ${limit}`)
        }
        assertSame(shown(await store.scan(bytes(1), everything, 2)), ['01=01', '09=09'], 'the first two')
      }),
  },
  {
    name: 'scans thousands of rows without missing or repeating one',
    run: (make) =>
      withStore(make, async (store) => {
        const keys = Array.from({ length: 3000 }, (_, index) => bytes(index >> 8, index & 255))
        await store.commit(keys.map((key) => [key, new Uint8Array(100)]))
        const rows = await store.scan(nothing, everything, 5000)
        assertSame(rows.map(([key]) => ((key[0] ?? 0) << 8) + (key[1] ?? 0)).join(), [...keys.keys()].join(), 'keys')
      }),
  },
]
