import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Home, makeHome, readKeyFile } from '../../src/cli/home.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'posthaste-home-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const homeAt = (path: string): Home => ({ path, data: '', secret: '', adminKey: '', server: '', stores: '' })
const modeOf = (path: string) => statSync(path).mode & 0o777

it('makes a state directory for its owner alone, and those above it', () => {
  makeHome(homeAt(join(directory, 'above', 'state')))
  expect(modeOf(join(directory, 'above', 'state'))).toBe(0o700)
})

it('leaves the mode of a directory that is there: others may need what else is in it', () => {
  const path = join(directory, 'shared')
  mkdirSync(path)
  chmodSync(path, 0o755)
  makeHome(homeAt(path))
  expect(modeOf(path)).toBe(0o755)
})

it.runIf(process.platform === 'linux')('says at once what nothing can be made in', () => {
  expect(() => makeHome(homeAt('/proc/posthaste'))).toThrow("/proc/posthaste can't be written to: ENOENT")
})

it('says that there is a file in its place', () => {
  const path = join(directory, 'file')
  writeFileSync(path, '')
  expect(() => makeHome(homeAt(path))).toThrow(`${path} is not a directory`)
})

it.each([
  ['sixteen-letters!\n', undefined],
  ['  words are fine, too  ', undefined],
  ['', 'is empty'],
  ['fifteen-letters', 'has fewer than 16 characters'],
  ['one long line and\nanother one', 'is not one line of printable ASCII characters'],
  ['sechzehn Zeichen für alle', 'is not one line of printable ASCII characters'],
])('reads a key from a file: %j', (text, fault) => {
  const path = join(directory, 'key')
  writeFileSync(path, text, { mode: 0o600 })
  if (fault === undefined) expect(readKeyFile(path, 'admin key')).toBe(text.trim())
  else expect(() => readKeyFile(path, 'admin key')).toThrow(`The admin key in ${path} ${fault}`)
})

it('says of a key that is there and can not be read why, not that there is none', () => {
  const path = mkdtempSync(join(tmpdir(), 'posthaste-key-'))
  expect(() => readKeyFile(join(path, 'none'), 'admin key')).toThrow(`There is no admin key in ${path}/none`)
  symlinkSync('loop', join(path, 'loop'))
  expect(() => readKeyFile(join(path, 'loop'), 'admin key')).toThrow(`The admin key in ${path}/loop can't be read: ELOOP`)
  // Its mode must not be changed, so nothing is said of that.
  chmodSync(path, 0o755)
  expect(() => readKeyFile(path, 'admin key')).toThrow(`There is no admin key in ${path}: it is no file`)
  rmSync(path, { recursive: true })
})
