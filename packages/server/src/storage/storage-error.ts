import { statfsSync } from 'node:fs'

/** What went wrong at the durable edge. Stable: callers decide by it, never by the text. */
export type StorageErrorCode = 'disk-full' | 'journal-failed' | 'tables-failed' | 'directory-read-only' | 'directory-in-use'

/** An operating error of the durable edge. The text names the path and, where known, what to do about it. */
export class StorageError extends Error {
  override readonly name = 'StorageError'
  readonly code: StorageErrorCode

  constructor(code: StorageErrorCode, message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

/** Below this many free bytes a failure is taken for a full disk: LMDB says EIO of a short write, LevelDB has no errno at all. */
const FULL_BELOW_BYTES = 4 * 1024 * 1024

const DISK_FULL_CODES: readonly unknown[] = ['ENOSPC', 'EDQUOT', 28, 122]
const READ_ONLY_CODES: readonly unknown[] = ['EROFS', 'EACCES', 'EPERM', 'ENOTDIR', 30, 13, 1, 20]

/**
 * Names the cause of a failed file or LMDB call. Node's errors carry names (`ENOSPC`), LMDB's carry errno numbers (28).
 *
 * @param code what it is when the cause is neither a full disk nor a read-only directory
 */
export function storageErrorOf(cause: unknown, code: 'journal-failed' | 'tables-failed', path: string): StorageError {
  if (cause instanceof StorageError) return cause
  const number = codeOf(cause)
  const text = cause instanceof Error ? cause.message : String(cause)
  if (READ_ONLY_CODES.includes(number)) {
    return new StorageError('directory-read-only', `${path} can't be written to: ${text}`, cause)
  }
  if (DISK_FULL_CODES.includes(number) || isNearlyFull(path)) {
    return new StorageError('disk-full', `The disk of ${path} is full: ${text}`, cause)
  }
  return new StorageError(code, `Writing to ${path} failed: ${text}`, cause)
}

function codeOf(cause: unknown): unknown {
  return typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined
}

function isNearlyFull(path: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize < FULL_BELOW_BYTES
  } catch {
    return false
  }
}
