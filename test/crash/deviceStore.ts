import { nodeStore } from '@posthaste/client/node'
import { keyPart, tables } from '../../packages/client/src/machine/rows.ts'

/** What a device holds durably: the keys of all that it stored and still remembers, and how many messages wait for a handler. */
export interface DeviceContents {
  /** As `message.key` has them. */
  readonly keys: readonly string[]
  readonly inboxCount: number
}

const pageRows = 10_000

/** Reads the store of a client that has ended. */
export async function contentsOf(directory: string): Promise<DeviceContents> {
  const store = nodeStore(directory)
  await store.open()
  try {
    const rowsOf = async (table: number): Promise<Uint8Array[]> => {
      const keys: Uint8Array[] = []
      for (let from = Uint8Array.of(table); ; ) {
        const page = await store.scan(from, Uint8Array.of(table + 1), pageRows)
        keys.push(...page.map(([key]) => key))
        const last = page.at(-1)?.[0]
        if (last === undefined || page.length < pageRows) return keys
        from = Uint8Array.of(...last, 0)
      }
    }
    const keys = await rowsOf(tables.key)
    const names = keys.map((key) => `${keyPart(key, 0)}-${keyPart(key, 1)}-${keyPart(key, 2)}`)
    return { keys: names, inboxCount: (await rowsOf(tables.inbox)).length }
  } finally {
    await store.close()
  }
}
