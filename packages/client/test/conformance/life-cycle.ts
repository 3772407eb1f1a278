import { assertBytes, assertRejects, assertSame, bytes, utf8 } from './assertions.ts'
import { type StoreCase, withStore } from './store-case.ts'

const nothing = bytes()
const everything = bytes(255)

/** Cases about opening, closing and opening again. */
export const lifeCycleCases: StoreCase[] = [
  {
    name: 'refuses every call before open and after close',
    run: async (make) => {
      const place = await make()
      const store = place.store()
      const calls = [
        () => store.commit([[utf8('a'), bytes(1)]]),
        () => store.get(utf8('a')),
        () => store.scan(nothing, everything, 1),
      ]
      try {
        for (const [index, call] of calls.entries()) await assertRejects(call, 'store-failed', `call ${index} before open`)
        await store.open()
        await assertRejects(() => store.open(), 'store-failed', 'a second open')
        await store.close()
        for (const [index, call] of calls.entries()) await assertRejects(call, 'store-failed', `call ${index} after close`)
        await assertRejects(() => store.open(), 'store-failed', 'open after close')
      } finally {
        await store.close()
        await place.remove()
      }
    },
  },
  {
    name: 'closes more than once, without being opened, and while it opens',
    run: async (make) => {
      const place = await make()
      try {
        const never = place.store()
        await never.close()
        await never.close()
        const opening = place.store()
        const opened = opening.open().then(
          () => 'opened',
          () => 'refused',
        )
        await opening.close()
        assertSame(await opened, 'refused', 'open that was overtaken by close')
        const store = place.store()
        await store.open()
        await Promise.all([store.close(), store.close()])
        await store.close()
      } finally {
        await place.remove()
      }
    },
  },
  {
    name: 'waits in close for commits and reads under way, and none of them fails',
    run: (make) =>
      withStore(make, async (store) => {
        await store.commit(Array.from({ length: 200 }, (_, index) => [bytes(index), new Uint8Array(1000)] as const))
        const ended: string[] = []
        const work = [
          ...Array.from({ length: 20 }, (_, index) => store.commit([[bytes(index), bytes(1)]])),
          store.get(bytes(1)),
          store.scan(nothing, everything, 1000),
        ].map((one) => one.then(() => ended.push('work')))
        await store.close()
        assertSame(ended.length, 22, 'what had ended when close resolved')
        await Promise.all(work)
      }),
  },
  {
    name: 'waits in close for reads alone, and none of them fails',
    run: (make) =>
      withStore(make, async (store) => {
        const keys = Array.from({ length: 250 }, (_, index) => bytes(index))
        await store.commit(keys.map((key) => [key, new Uint8Array(4000)]))
        let ended = 0
        const reads = [store.scan(nothing, everything, 1000), store.scan(nothing, everything, 1000), store.get(bytes(1))]
        const work = reads.map((read) => (read as Promise<unknown>).then(() => ended++))
        await store.close()
        assertSame(ended, reads.length, 'reads that had ended when close resolved')
        await Promise.all(work)
      }),
  },
  {
    name: 'holds after opening again exactly what was committed',
    run: (make) =>
      withStore(make, async (first, place) => {
        await first.commit([
          [utf8('kept'), bytes(1)],
          [utf8('deleted'), bytes(1)],
        ])
        await first.commit([[utf8('deleted'), null]])
        await first.close()
        const second = place.store()
        await second.open()
        try {
          assertBytes(await second.get(utf8('kept')), place.isDurable ? bytes(1) : undefined, 'the row that was kept')
          assertBytes(await second.get(utf8('deleted')), undefined, 'the row that was deleted')
        } finally {
          await second.close()
        }
      }),
  },
]
