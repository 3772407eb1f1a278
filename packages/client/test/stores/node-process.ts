/**
 * A process that holds a node store, started by the tests that kill it, trace it or make its disk fail:
 * `node-process.ts <what> <directory>`. It tells what happened in lines of JSON, written synchronously.
 */
import { writeSync } from 'node:fs'
import type { ClientStore, StoreWrite } from '../../src/store.ts'
import { nodeStore } from '../../src/stores/node.ts'
import { crashKeys, crashValue } from './crash-rows.ts'

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
const decode = (data: Uint8Array | undefined): string | null => (data === undefined ? null : new TextDecoder().decode(data))

function tell(line: unknown): void {
  writeSync(1, `${JSON.stringify(line)}\n`)
}

/** Commits for ever, four at a time, and tells the number of each once it is acknowledged. */
async function commitUntilKilled(store: ClientStore): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    for (;;) {
      const commit = next++
      await store.commit(crashKeys(commit).map((key): StoreWrite => [key, crashValue(commit)]))
      tell(commit)
    }
  }
  await Promise.all([lane(), lane(), lane(), lane()])
}

async function commitFive(store: ClientStore): Promise<void> {
  for (let commit = 0; commit < 5; commit++) {
    await store.commit([[encode(`row ${commit}`), encode('value')]])
    tell(commit)
  }
}

async function rows(store: ClientStore): Promise<string[]> {
  const all = await store.scan(encode('a'), encode('z'), 100)
  return all.map(([key, value]) => `${decode(key)}=${decode(value)}`)
}

/** Three commits, of which the test makes the third one fail. */
async function failThird(store: ClientStore): Promise<void> {
  await store.commit([[encode('kept'), encode('1')]])
  await store.commit([[encode('replaced'), encode('2')]])
  try {
    await store.commit([
      [encode('added'), encode('3')],
      [encode('kept'), null],
      [encode('replaced'), encode('3')],
    ])
  } catch (error) {
    const { code, retryable } = error as { code: string; retryable: boolean }
    tell({ code, retryable })
  }
  tell(await rows(store))
}

async function main(what: string, directory: string): Promise<void> {
  const store = nodeStore(directory)
  await store.open()
  tell('open')
  if (what === 'until-killed') await commitUntilKilled(store)
  if (what === 'five') await commitFive(store)
  if (what === 'hold') await new Promise((resolve) => process.stdin.once('data', resolve))
  if (what === 'fail-then-commit' || what === 'fail-then-close') await failThird(store)
  if (what === 'fail-then-commit') {
    const reading = rows(store)
    await store.commit([[encode('later'), encode('4')]])
    tell([await reading, await rows(store)])
  }
  await store.close()
  const again = nodeStore(directory)
  await again.open()
  tell(await rows(again))
  await again.close()
  process.exit(0)
}

await main(process.argv[2] ?? '', process.argv[3] ?? '')
