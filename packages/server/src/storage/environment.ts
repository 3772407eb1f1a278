import { closeSync, existsSync, fdatasyncSync, openSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import { makeDirectory, syncDirectory } from './make-directory.ts'
import { StorageError, storageErrorOf } from './storage-error.ts'

/** One LMDB environment with one table of raw keys and raw values. */
export type Environment = RootDatabase<Uint8Array, Uint8Array>

/** What lmdb takes when it is not told otherwise. */
const PAGE_BYTES = 4_096
/** Where each root has LMDB's magic number, in the byte order of the machine, which is little-endian wherever lmdb has a binary. */
const MAGIC_AT = 24
const MAGIC = 0xbeefc0de

/**
 * Opens the environment below `directory` (files `data.mdb` and `lock.mdb`), making the directory with mode 0700.
 *
 * `overlappingSync` is off, so a transaction is flushed before it is visible, and there is no such thing as a committed
 * transaction that is not flushed. (With it on, a failed flush leaves `db.flushed` pending for ever, and it is no faster
 * for one or two transactions in flight: measured 0.30 ms against 0.28 ms for 240 bytes.) What a dying process may have
 * left in the page cache (its last root, written but not yet flushed) is flushed here, before anything is read.
 *
 * @param mapSizeBytes address space to reserve, not disk space; LMDB maps anew by itself when the file outgrows it
 * @throws StorageError `directory-read-only`, `disk-full`, or `code`
 */
export function openEnvironment(directory: string, mapSizeBytes: number, code: 'journal-failed' | 'tables-failed'): Environment {
  try {
    makeDirectory(directory)
    const path = join(directory, 'data.mdb')
    if (isUnborn(path)) rmSync(path)
    syncFile(path)
    const environment = openLmdb(directory, mapSizeBytes)
    // A new one has two empty roots: they must be whole before anything is written behind them.
    syncFile(path)
    syncDirectory(directory)
    return environment
  } catch (cause) {
    const error = storageErrorOf(cause, code, directory)
    throw error.code === code ? new StorageError(code, `${directory} can't be opened: ${errorText(cause)}`, cause) : error
  }
}

/** Opens the environment again in another thread of the process, which shares it. */
export function openLmdb(directory: string, mapSizeBytes: number): Environment {
  return open({
    path: directory,
    encoding: 'binary',
    keyEncoding: 'binary',
    overlappingSync: false,
    // Off, since a batch that it starts has a promise of its own, which nobody can handle when its commit fails.
    eventTurnBatching: false,
    mapSize: mapSizeBytes,
    permissionsMode: 0o600,
  } as Parameters<typeof open>[0]) as Environment
}

/**
 * Whether a power loss caught the file while its two first pages, the empty roots, were being made: at most those are there, and not both
 * of them whole. LMDB gives up on such a file, or crashes. It has never held anything.
 */
function isUnborn(path: string): boolean {
  if (!existsSync(path) || statSync(path).size > 2 * PAGE_BYTES) return false
  const bytes = readFileSync(path)
  return [0, PAGE_BYTES].some((page) => bytes.length < page + PAGE_BYTES || bytes.readUInt32LE(page + MAGIC_AT) !== MAGIC)
}

function syncFile(path: string): void {
  if (!existsSync(path)) return
  const descriptor = openSync(path, 'r+')
  try {
    fdatasyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function errorText(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
