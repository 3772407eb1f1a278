import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { FreeSpace } from '../../src/storage/free-space.ts'

it('gives the bytes free, and asks for them anew once it is told to', () => {
  const space = new FreeSpace(tmpdir())
  expect(space.bytes()).toBeGreaterThan(0)
  space.forget()
  expect(space.bytes()).toBeGreaterThan(0)
})

it('[I1] is 0 where the file system does not say, as when it fails', () => {
  expect(new FreeSpace(join(tmpdir(), 'posthaste-is-not-there')).bytes()).toBe(0)
})
