import { randomBytes } from 'node:crypto'
import { closeSync, fstatSync, fsyncSync, linkSync, openSync, readFileSync, type Stats, unlinkSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { makeDirectory, syncDirectory } from '../storage/make-directory.ts'
import { AuthError } from './auth-error.ts'

const secretBytes = 32
/** 32 bytes or more as base64url, without padding. */
const secretText = /^[A-Za-z0-9_-]{43,}$/

/**
 * The secret in a file; a new one of 32 random bytes where there is none. The file holds one line of base64url and is for its owner alone
 * (mode 0600); whoever finds it can sign a token for any user.
 *
 * @throws AuthError `secret-unsafe` when others than its owner may touch the file, or when it holds no secret
 * @throws the file system's error, with its code (EACCES, EROFS, ENOSPC …)
 */
export function loadOrCreateSecret(path: string): Uint8Array {
  return load(path) ?? create(path)
}

function load(path: string): Uint8Array | undefined {
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined
    throw error
  }
  try {
    // Asked of the open file, so that it can't be another one that is read.
    const found = fstatSync(descriptor)
    if (!isKeyFile(found)) throw new AuthError('secret-unsafe', `${path} is no file.`)
    const { mode } = found
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) throw unsafe(path, mode)
    const text = readFileSync(descriptor, 'utf8').trim()
    if (!secretText.test(text)) {
      throw new AuthError(
        'secret-unsafe',
        `${path} holds no secret: one line of base64url for at least ${secretBytes} bytes is expected.`,
      )
    }
    return Buffer.from(text, 'base64url')
  } finally {
    closeSync(descriptor)
  }
}

/** Writes it aside and links it into place: a crash leaves no half a secret, and of two processes the first wins. */
function create(path: string): Uint8Array {
  const directory = dirname(path)
  makeDirectory(directory)
  // A name of its own: process numbers come again, in containers with every start, and a kill leaves its draft.
  const draft = `${path}.${randomBytes(8).toString('hex')}.draft`
  const descriptor = openSync(draft, 'wx', 0o600)
  try {
    writeFileSync(descriptor, `${randomBytes(secretBytes).toString('base64url')}\n`)
    fsyncSync(descriptor)
    linkSync(draft, path)
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error
  } finally {
    closeSync(descriptor)
    unlinkSync(draft)
  }
  syncDirectory(directory)
  const secret = load(path)
  if (secret === undefined) throw new AuthError('secret-unsafe', `${path} was removed while it was made.`)
  return secret
}

/** Whether a key can be in it: a file, or the pipe that a shell puts in a file's place. Of anything else the mode is not to be changed. */
export function isKeyFile(found: Stats): boolean {
  return found.isFile() || found.isFIFO()
}

function unsafe(path: string, mode: number): AuthError {
  const found = (mode & 0o777).toString(8).padStart(4, '0')
  const text = `${path} may be read or written by others than its owner (mode ${found}). Put that right with: chmod 600 ${path}`
  return new AuthError('secret-unsafe', text)
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
