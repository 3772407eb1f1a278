import type { TabsFactory } from '../engine.ts'
import { systemClock, systemRandom } from '../ports.ts'
import type { Envelope } from './messages.ts'
import type { TabPort } from './port.ts'
import { Tab } from './tab.ts'

/** One engine for all tabs of an origin that use the store of that name. */
export function sharedBetweenTabs(name: string): TabsFactory {
  // Of whoever runs the machine. No name of a store begins like the locks of another one's tabs.
  const lock = `posthaste/${name.replaceAll('/', '//')}`
  return (owner, make) => new Tab(lock, browserPort(lock), owner, make)
}

/** A tab in a browser: Web Locks, and a BroadcastChannel of that name. */
function browserPort(name: string): TabPort {
  const ending = new AbortController()
  const { signal } = ending
  let channel: BroadcastChannel | undefined
  return {
    id: Math.random().toString(36).slice(2),
    clock: systemClock,
    random: systemRandom(),
    listen: (heard) => {
      channel = new BroadcastChannel(name)
      channel.onmessage = ({ data }: MessageEvent<Envelope>) => heard(data)
    },
    post: (envelope) => channel?.postMessage(envelope),
    hold: (lock, held, refused) => {
      const hold = (): Promise<void> =>
        new Promise((letGo) => {
          const free = (): void => {
            signal.removeEventListener('abort', free)
            letGo()
          }
          signal.addEventListener('abort', free)
          held(free)
        })
      navigator.locks.request(lock, { signal }, hold).catch((cause) => signal.aborted || refused(cause))
    },
    listHeld: (answer) => {
      navigator.locks.query().then(
        ({ held = [] }) => answer(held.map(({ name = '' }) => name)),
        () => answer([]),
      )
    },
    watchPage: (changed) => {
      if (typeof document !== 'object') return
      document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && changed('shown'), { signal })
      addEventListener('pagehide', ({ persisted }) => persisted && changed('cached'), { signal })
    },
    leave: () => {
      ending.abort()
      channel?.close()
    },
  }
}
