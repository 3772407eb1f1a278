import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { nodeStore } from '../../src/stores/node.ts'
import { clientStoreConformance } from '../conformance/client-store.ts'

describe('a store in a directory', () => {
  const cases = clientStoreConformance(async () => {
    const parent = await mkdtemp(join(tmpdir(), 'posthaste-store-'))
    return {
      store: () => nodeStore(join(parent, 'store')),
      isDurable: true,
      remove: () => rm(parent, { recursive: true }),
    }
  })
  for (const { name, run } of cases) test(name, run)
})

describe('the directory of a store', () => {
  let parent = ''
  beforeEach(async () => {
    parent = await mkdtemp(join(tmpdir(), 'posthaste-store-'))
  })
  afterEach(() => rm(parent, { recursive: true }))

  test('does not exist before open', async () => {
    const directory = join(parent, 'a', 'b')
    const store = nodeStore(directory)
    await expect(stat(directory)).rejects.toMatchObject({ code: 'ENOENT' })
    await store.open()
    await store.close()
    expect((await stat(directory)).isDirectory()).toBe(true)
  })

  test('is readable by its owner alone', async () => {
    const directory = join(parent, 'store')
    const store = nodeStore(directory)
    await store.open()
    await store.close()
    expect((await stat(directory)).mode & 0o777).toBe(0o700)
  })

  test('is named by the error store-locked while another store holds it, and opens once that one is closed', async () => {
    const directory = join(parent, 'store')
    const [first, second] = [nodeStore(directory), nodeStore(directory)]
    await first.open()
    const refused = { name: 'PosthasteError', code: 'store-locked', retryable: true, message: expect.stringContaining(directory) }
    await expect(second.open()).rejects.toMatchObject(refused)
    await first.close()
    await second.open()
    await second.close()
  })

  test('[I12] can be opened after a power loss while it was being made, which left an empty manifest', async () => {
    const directory = join(parent, 'store')
    await mkdir(directory)
    await writeFile(join(directory, 'CURRENT'), 'MANIFEST-000001\n')
    await writeFile(join(directory, 'MANIFEST-000001'), '')
    const store = nodeStore(directory)
    await store.open()
    await store.commit([[Uint8Array.of(1), Uint8Array.of(2)]])
    await store.close()
    const again = nodeStore(directory)
    await again.open()
    expect(await again.get(Uint8Array.of(1))).toEqual(Uint8Array.of(2))
    await again.close()
  })

  test('gives the error store-failed when it is a file', async () => {
    const store = nodeStore(join(parent, 'store'))
    await writeFile(join(parent, 'store'), 'text')
    await expect(store.open()).rejects.toMatchObject({ code: 'store-failed', retryable: false })
  })
})
