import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ClientStore } from '../../src/store.ts'
import { nodeStore } from '../../src/stores/node.ts'

let disk = ''
let isMounted = false
const stores: ClientStore[] = []

beforeAll(() => {
  disk = mkdtempSync(join(tmpdir(), 'posthaste-disk-'))
  isMounted = mountDisk()
})

afterAll(async () => {
  // A disk in use can't be unmounted.
  await Promise.allSettled(stores.map((store) => store.close()))
  if (isMounted) execFileSync('umount', [disk])
  rmSync(disk, { recursive: true })
})

/** A disk of 300 kB, in memory. */
function mountDisk(): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=300k', 'tmpfs', disk], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

async function openStore(): Promise<ClientStore> {
  const store = nodeStore(join(disk, 'store'))
  stores.push(store)
  await store.open()
  return store
}

function keyOf(commit: number): Uint8Array {
  return Uint8Array.of(commit >> 8, commit & 255)
}

/** Tries the commits from `first` up to `end`, each of one row; those of both outcomes. */
async function commitEach(
  store: ClientStore,
  first: number,
  end: number,
): Promise<{ acknowledged: number[]; codes: Set<string> }> {
  const acknowledged: number[] = []
  const codes = new Set<string>()
  for (let commit = first; commit < end; commit++) {
    try {
      await store.commit([[keyOf(commit), randomBytes(3001)]])
      acknowledged.push(commit)
    } catch (error) {
      codes.add((error as { code: string }).code)
    }
  }
  return { acknowledged, codes }
}

async function stored(store: ClientStore): Promise<number[]> {
  const rows = await store.scan(Uint8Array.of(0), Uint8Array.of(255), 1000)
  return rows.map(([key]) => ((key[0] ?? 0) << 8) + (key[1] ?? 0))
}

describe('a node store on a disk that fills up', () => {
  test('[I12] holds what it acknowledged and nothing else, before there is room again and after', async ({ skip }) => {
    skip(!isMounted, 'only root may mount a disk of this size')
    const store = await openStore()
    const before = await commitEach(store, 0, 150)
    expect(before.acknowledged.length).toBeGreaterThan(10)
    expect(before.acknowledged.length).toBeLessThan(150)
    expect([...before.codes]).toEqual(['store-full'])
    expect(await stored(store)).toEqual(before.acknowledged)

    execFileSync('mount', ['-o', 'remount,size=50m', disk])
    const after = await commitEach(store, 150, 300)
    expect(after.acknowledged).toHaveLength(150)
    const all = [...before.acknowledged, ...after.acknowledged]
    expect(await stored(store)).toEqual(all)
    await store.close()

    expect(await stored(await openStore())).toEqual(all)
  })
})
