import type { StoreWrite } from '../../src/store.ts'
import { assertBytes, assertSame, bytes, shown, utf8 } from './assertions.ts'
import { type StoreCase, withStore } from './store-case.ts'

const nothing = bytes()
const everything = bytes(255)

function number32(value: number): Uint8Array {
  const encoded = new Uint8Array(4)
  new DataView(encoded.buffer).setUint32(0, value)
  return encoded
}

/** Cases about commits: together, in order, on copies. */
export const batchCases: StoreCase[] = [
  {
    name: 'applies the writes of a commit in their order, the last one of a key counting',
    run: (make) =>
      withStore(make, async (store) => {
        await store.commit([
          [utf8('a'), bytes(1)],
          [utf8('b'), bytes(1)],
          [utf8('a'), null],
          [utf8('b'), bytes(2)],
          [utf8('c'), null],
          [utf8('c'), bytes(3)],
        ])
        assertSame(shown(await store.scan(nothing, everything, 10)), ['62=02', '63=03'], 'rows')
      }),
  },
  {
    name: 'takes overlapping commits in call order',
    run: (make) =>
      withStore(make, async (store) => {
        const resolved: number[] = []
        const commits = Array.from({ length: 200 }, async (_, index) => {
          await store.commit([
            [utf8('last'), number32(index)],
            [number32(index), index > 0 ? bytes(1) : bytes(0)],
            ...(index > 0 ? [[number32(index - 1), null] as const] : []),
          ])
          resolved.push(index)
        })
        await Promise.all(commits)
        assertSame(
          resolved,
          resolved.map((_, index) => index),
          'order in which they resolved',
        )
        assertSame(shown(await store.scan(nothing, everything, 10)), ['000000c7=01', '6c617374=000000c7'], 'rows')
      }),
  },
  {
    name: 'shows a commit to reads once it resolved, as a whole while it is under way',
    run: (make) =>
      withStore(make, async (store) => {
        for (let round = 1; round <= 20; round++) {
          const writes = Array.from({ length: 50 }, (_, index): StoreWrite => [bytes(index), bytes(round)])
          const committed = store.commit(writes)
          const rows = await store.scan(nothing, everything, 100)
          const rounds = new Set(rows.map(([, value]) => value[0]))
          assertSame(rounds.size <= 1, true, `one round at a time, not ${[...rounds]}`)
          await committed
          assertBytes(await store.get(bytes(49)), bytes(round), 'after it resolved')
        }
      }),
  },
  {
    name: 'resolves an empty commit',
    run: (make) =>
      withStore(make, async (store) => {
        await store.commit([])
        assertSame(shown(await store.scan(nothing, everything, 10)), [], 'rows')
      }),
  },
  {
    name: 'takes large commits that overlap, in call order',
    run: (make) =>
      withStore(make, async (store) => {
        const body = new Uint8Array(600_000).fill(5)
        await Promise.all(Array.from({ length: 6 }, (_, index) => store.commit([[bytes(index), body.subarray(index)]])))
        const rows = await store.scan(nothing, everything, 10)
        assertSame(
          rows.map(([key, value]) => [key[0], value.length]),
          [0, 1, 2, 3, 4, 5].map((index) => [index, 600_000 - index]),
          'lengths',
        )
      }),
  },
  {
    name: "copies the caller's bytes before commit returns, from views and Buffers too",
    run: (make) =>
      withStore(make, async (store) => {
        const shared = Uint8Array.from({ length: 64 }, (_, index) => index)
        const [key, value] = [shared.subarray(1, 3), shared.subarray(10, 14)]
        const first = store.commit([[utf8('before'), bytes(0)]])
        const committed = store.commit([[key, value]])
        shared.fill(0xee)
        await Promise.all([first, committed])
        assertBytes(await store.get(bytes(1, 2)), bytes(10, 11, 12, 13), 'the row')
        const buffers = (globalThis as { Buffer?: { from(values: number[]): Uint8Array } }).Buffer
        if (buffers === undefined) return
        const buffer = buffers.from([1, 2, 3])
        const again = store.commit([[utf8('buffer'), buffer]])
        buffer.fill(9)
        await again
        assertBytes(await store.get(utf8('buffer')), bytes(1, 2, 3), 'the row of a Buffer')
      }),
  },
  {
    name: 'hands out bytes that the caller may change',
    run: (make) =>
      withStore(make, async (store) => {
        await store.commit([[utf8('a'), bytes(1, 2)]])
        const got = await store.get(utf8('a'))
        got?.fill(9)
        for (const [key, value] of await store.scan(nothing, everything, 1)) {
          assertBytes(value, bytes(1, 2), 'scanned')
          key.fill(9)
          value.fill(9)
        }
        assertBytes(await store.get(utf8('a')), bytes(1, 2), 'the row')
      }),
  },
]
