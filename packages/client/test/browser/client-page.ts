/** What runs inside the page in the tests of the SDK in a browser: one client that the test drives, on a store that tabs share. */
import type { PosthasteOptions } from '../../src/options.ts'
import { Posthaste } from '../../src/posthaste.ts'
import type { SentMessage } from '../../src/sentMessage.ts'
import { indexedDbStore } from '../../src/stores/indexeddb.ts'

const databaseName = 'device'
const seen: string[] = []
const sent = new Map<string, Promise<SentMessage>>()
let client: Posthaste | undefined
let stop: (() => Promise<void>) | undefined

function opened(): Posthaste {
  if (client === undefined) throw new Error('There is no client in this page')
  return client
}

/** Everything that a test can ask of the page. */
export const clientPage = {
  open: (options: Pick<PosthasteOptions, 'url' | 'token' | 'tabs'>): void => {
    client = new Posthaste({ ...options, store: indexedDbStore(databaseName) })
    client.on('message', (message) => seen.push(message.text()))
    client.connect()
  },
  close: () => opened().close(),
  state: () => opened().connection.state,
  /** What observers were told of, in order. */
  seen: () => seen,
  /** Every message goes to the test, which says when the handler is done. */
  receive: (tab: string): void => {
    stop = opened().receive((message) => window.handled(tab, message.text(), message.redelivered))
  },
  stopReceiving: () => stop?.(),
  /** Does not wait for anything. */
  send: (bodies: string[]): void => {
    for (const body of bodies) {
      const promise = opened().send({ to: 'bob', body })
      promise.catch(() => {})
      sent.set(body, promise)
    }
  },
  waitFor: async (body: string, status: 'sent' | 'delivered' | 'read') => {
    await (await sent.get(body))?.waitFor(status)
  },
  pending: () => opened().pending(),
  groups: async () => {
    await opened().groups.create('team')
    return await opened().groups.list()
  },
  presence: (user: string): Promise<string> =>
    new Promise((resolve) => {
      opened().watchPresence([user], ({ state }) => {
        if (state !== 'unknown') resolve(state)
      })
    }),
  realtime: (body: string) => opened().sendRealtime({ to: 'bob', body }),
  /** Closes the client, and gives the keys of all rows that its store holds. */
  closedKeys: async (): Promise<number[][]> => {
    await opened().close()
    const store = indexedDbStore(databaseName)
    await store.open()
    const rows = await store.scan(Uint8Array.of(0), Uint8Array.of(255), Number.MAX_SAFE_INTEGER)
    await store.close()
    return rows.map(([key]) => [...key])
  },
}

declare global {
  interface Window {
    clientPage: typeof clientPage
    handled(tab: string, text: string, redelivered: boolean): Promise<void>
  }
}
window.clientPage = clientPage
