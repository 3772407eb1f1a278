import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { FreeSpace } from './free-space.ts'
import { makeDirectory } from './make-directory.ts'
import { StorageError, storageErrorOf } from './storage-error.ts'

/** How long to look for a holder's note that names a living process: its holder may have the lock and be about to write it. */
const HOLDER_TIMEOUT_MS = 1_000
const HOLDER_RETRY_MS = 20

/** What LevelDB calls it when another process has the lock, or this one. */
const lockedCode = 'LEVEL_LOCKED'

/** What this process holds, by device and inode: by path, one directory has many names. */
const heldHere = new Set<string>()

/** Where one shard keeps its two environments. */
export interface ShardDirectories {
  readonly journal: string
  readonly tables: string
}

/** Who holds a data directory. The start time tells two processes with one number apart (Linux; elsewhere absent). */
interface Holder {
  readonly pid: number
  readonly since: string
  readonly startTicks?: string
}

/** A data directory that this process alone may write to, until `close` or its death. */
export interface DataDirectory {
  /** Absolute. */
  readonly path: string
  /** The directories of shard `number` (0, 1, 2 …), made when they are opened. */
  shard(number: number): ShardDirectories
  /** How many shards it was made with, when a journal of one behind the first `shards` holds anything; undefined when none does. */
  moreShardsThan(shards: number): number | undefined
  /** Bytes free on its file system, up to a second old. */
  freeBytes(): number
  /** Much was written: the next figure is a new one. */
  forgetFreeBytes(): void
  /** Releases the lock. Close what was opened below it first. */
  close(): Promise<void>
}

/**
 * Makes the directory with mode 0700 if it isn't there, and takes its lock.
 *
 * The lock is that of an empty LevelDB in `lock/`: an `fcntl` lock (`LockFileEx` on Windows), taken at once or not at all, which the
 * kernel releases when the process ends, however it ends. So nothing has to be cleaned up, and no process number has to be
 * believed. `holder.json` is only there for the text of the error.
 *
 * A process loses such a lock when it closes any descriptor of the locked file, as LevelDB does when it finds that this very process has it: so
 * what this process holds is known before that.
 *
 * @throws StorageError `directory-in-use`, `directory-read-only`, `disk-full` or `journal-failed`
 */
export async function openDataDirectory(path: string): Promise<DataDirectory> {
  const root = resolve(path)
  const close = await take(root)
  const freeSpace = new FreeSpace(root)
  const shard = (number: number): ShardDirectories => ({
    journal: join(root, `shard-${number}`, 'journal'),
    tables: join(root, `shard-${number}`, 'tables'),
  })
  return {
    path: root,
    shard,
    moreShardsThan(shards) {
      const numbers = readdirSync(root).map((name) => Number(/^shard-(\d+)$/.exec(name)?.[1] ?? -1))
      const isMore = numbers.some((number) => number >= shards && holdsAnything(shard(number).journal))
      // All are made before anything is written, so that the last one says how many, even if nothing was written there.
      return isMore ? Math.max(...numbers) + 1 : undefined
    },
    freeBytes: () => freeSpace.bytes(),
    forgetFreeBytes: () => freeSpace.forget(),
    close,
  }
}

/** Takes the lock, and writes who has it. @returns what releases it */
async function take(root: string): Promise<() => Promise<void>> {
  const holderPath = join(root, 'holder.json')
  // A name of its own: in containers, processes that start together on one volume have the same number.
  const newHolderPath = `${holderPath}.${randomBytes(8).toString('hex')}.draft`
  let release = async (): Promise<void> => {}
  try {
    makeDirectory(root)
    const key = holdHere(root)
    release = async () => void heldHere.delete(key)
    // Before the lock: LevelDB's errors have no errno, and this one says whether the directory can be written to.
    writeHolder(newHolderPath)
    const lock = await openLock(join(root, 'lock'))
    release = async () => {
      await lock.close()
      heldHere.delete(key)
    }
    renameSync(newHolderPath, holderPath)
    return release
  } catch (cause) {
    await release()
    // Below what is not a directory there is nothing to remove, and asking fails.
    if (existsSync(newHolderPath)) rmSync(newHolderPath, { force: true })
    if (isLocked(cause)) throw await inUse(root, holderPath, cause)
    throw storageErrorOf(reasonOf(cause), 'journal-failed', root)
  }
}

/** Notes that this process holds it. @throws as LevelDB does when it does already */
function holdHere(root: string): string {
  const { dev, ino } = statSync(root, { bigint: true })
  const key = `${dev}:${ino}`
  if (heldHere.has(key)) throw Object.assign(new Error(`${root} is held by this process`), { code: lockedCode })
  heldHere.add(key)
  return key
}

function holdsAnything(path: string): boolean {
  return existsSync(path) && readdirSync(path).length > 0
}

/**
 * LevelDB makes its first file without a flush, so that a power loss in the first moments of a data directory can leave files that it
 * refuses as corrupt. Nothing in them is worth anything: all but the locked file itself, which another process may hold, is made anew.
 */
async function openLock(path: string): Promise<ClassicLevel> {
  const lock = new ClassicLevel(path)
  try {
    await lock.open()
    return lock
  } catch (cause) {
    if (isLocked(cause) || !existsSync(path)) throw cause
  }
  for (const name of readdirSync(path)) if (name !== 'LOCK') rmSync(join(path, name))
  const madeAnew = new ClassicLevel(path)
  await madeAnew.open()
  return madeAnew
}

function writeHolder(path: string): void {
  const startTicks = startTicksOf(process.pid)
  const holder: Holder = {
    pid: process.pid,
    since: new Date().toISOString(),
    ...(startTicks === undefined ? {} : { startTicks }),
  }
  writeFileSync(path, `${JSON.stringify(holder)}\n`, { mode: 0o600 })
}

function isLocked(cause: unknown): boolean {
  const reason = reasonOf(cause)
  return typeof reason === 'object' && reason !== null && 'code' in reason && reason.code === lockedCode
}

/** `abstract-level` wraps why opening failed. */
function reasonOf(cause: unknown): unknown {
  return cause instanceof Error && cause.cause !== undefined ? cause.cause : cause
}

async function inUse(root: string, holderPath: string, cause: unknown): Promise<StorageError> {
  const holder = await findHolder(holderPath)
  const who = holder === undefined ? 'another process' : `process ${holder.pid} since ${holder.since}`
  return new StorageError(
    'directory-in-use',
    `${root} is in use by ${who}. One server per data directory: stop it, or name another one.`,
    cause,
  )
}

async function findHolder(holderPath: string): Promise<Holder | undefined> {
  for (const deadlineMs = performance.now() + HOLDER_TIMEOUT_MS; ; ) {
    const holder = readHolder(holderPath)
    if (holder !== undefined && isAlive(holder)) return holder
    if (performance.now() >= deadlineMs) return undefined
    await new Promise((resolve) => setTimeout(resolve, HOLDER_RETRY_MS))
  }
}

function readHolder(holderPath: string): Holder | undefined {
  try {
    const { pid, since, startTicks } = JSON.parse(readFileSync(holderPath, 'utf8'))
    if (!Number.isSafeInteger(pid) || typeof since !== 'string') return undefined
    return { pid, since, ...(typeof startTicks === 'string' ? { startTicks } : {}) }
  } catch {
    return undefined
  }
}

function isAlive({ pid, startTicks }: Holder): boolean {
  try {
    process.kill(pid, 0)
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'EPERM')) return false
  }
  return startTicks === undefined || startTicksOf(pid) === startTicks
}

/** When a process started, in clock ticks since boot: field 22 of its stat (proc(5)), counted after the name in brackets. */
function startTicksOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
