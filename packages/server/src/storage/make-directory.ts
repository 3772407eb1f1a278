import { accessSync, closeSync, constants, existsSync, fsyncSync, mkdirSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Makes a directory and those above it, with mode 0700, each durably; an existing one must allow writing.
 * (`mkdirSync` with `recursive` says ENOENT where the file system is read-only, and flushes nothing.)
 *
 * @throws the file system's error, with its code (EROFS, EACCES, ENOSPC …)
 */
export function makeDirectory(path: string): void {
  if (existsSync(path)) {
    if (!statSync(path).isDirectory()) throw Object.assign(new Error(`${path} is not a directory`), { code: 'ENOTDIR' })
    accessSync(path, constants.W_OK)
    return
  }
  const parent = dirname(path)
  makeDirectory(parent)
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (cause) {
    // Another process may have been faster.
    if (!existsSync(path)) throw cause
  }
  syncDirectory(parent)
}

/** Flushes a directory, so that the names in it survive a power loss. */
export function syncDirectory(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
