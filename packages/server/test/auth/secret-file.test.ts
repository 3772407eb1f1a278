import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadOrCreateSecret } from '../../src/auth/index.ts'

describe('loadOrCreateSecret', () => {
  let directory: string
  let path: string

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'posthaste-secret-'))
    path = join(directory, 'new', 'secret')
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  it('makes a file for its owner alone, with 32 random bytes as base64url', () => {
    const secret = loadOrCreateSecret(path)
    expect(secret.byteLength).toBe(32)
    expect(readFileSync(path, 'utf8')).toBe(`${Buffer.from(secret).toString('base64url')}\n`)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readdirSync(join(directory, 'new'))).toEqual(['secret'])
    expect(Buffer.from(loadOrCreateSecret(join(directory, 'another'))).equals(secret)).toBe(false)
  })

  it('finds the same secret again', () => {
    expect(loadOrCreateSecret(path)).toEqual(loadOrCreateSecret(path))
  })

  it.each([0o604, 0o640, 0o602, 0o666])('refuses a file of mode %o and says how to put it right', (mode) => {
    loadOrCreateSecret(path)
    chmodSync(path, mode)
    expect(() => loadOrCreateSecret(path)).toThrow(
      expect.objectContaining({ code: 'secret-unsafe', message: expect.stringContaining(`chmod 600 ${path}`) }),
    )
  })

  it.each(['', 'short', `${'a'.repeat(42)}`, `${'a'.repeat(43)}=`, `${'a'.repeat(22)} ${'a'.repeat(22)}`])(
    'refuses a file that holds %j, and leaves it as it is',
    (text) => {
      const file = join(directory, 'secret')
      writeFileSync(file, text, { mode: 0o600 })
      expect(() => loadOrCreateSecret(file)).toThrow(expect.objectContaining({ code: 'secret-unsafe' }))
      expect(readFileSync(file, 'utf8')).toBe(text)
    },
  )

  it('asks for no other mode of what is no file', () => {
    chmodSync(directory, 0o755)
    for (const other of [directory, '/dev/null'])
      expect(() => loadOrCreateSecret(other)).toThrow(
        expect.objectContaining({ code: 'secret-unsafe', message: `${other} is no file.` }),
      )
  })

  it('makes one beside the draft that a killed process of the same number has left', () => {
    const file = join(directory, 'secret')
    const left = `${file}.${process.pid}.draft`
    writeFileSync(left, 'half', { mode: 0o600 })
    expect(loadOrCreateSecret(file).byteLength).toBe(32)
    expect(readdirSync(directory)).toEqual(['secret', `secret.${process.pid}.draft`])
    expect(readFileSync(left, 'utf8')).toBe('half')
  })

  it('hands on what the file system says', () => {
    writeFileSync(join(directory, 'file'), '')
    expect(() => loadOrCreateSecret(join(directory, 'file', 'secret'))).toThrow(expect.objectContaining({ code: 'ENOTDIR' }))
    expect(existsSync(path)).toBe(false)
  })
})
