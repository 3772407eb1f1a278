import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { journalConformance } from '../../../core/test/conformance/journal.ts'
import { tablesConformance } from '../../../core/test/conformance/tables.ts'
import { FileJournal } from '../../src/storage/journal.ts'
import { LmdbTables } from '../../src/storage/tables.ts'

/** New storage in a directory of its own. */
function storageOf<Port>(open: (directory: string) => Port): Promise<{ open: () => Promise<Port>; remove: () => Promise<void> }> {
  const root = mkdtempSync(join(tmpdir(), 'posthaste-storage-'))
  return Promise.resolve({
    open: () => Promise.resolve(open(join(root, 'shard-0', 'port'))),
    remove: () => Promise.resolve(rmSync(root, { recursive: true, force: true })),
  })
}

journalConformance('FileJournal', () => storageOf((directory) => FileJournal.open(directory)))
journalConformance('FileJournal of tiny segments', () =>
  storageOf((directory) => FileJournal.open(directory, { segmentBytes: 600 })),
)
journalConformance('FileJournal without O_DSYNC', () =>
  storageOf((directory) => FileJournal.open(directory, { hasWriteThrough: false })),
)
tablesConformance('LmdbTables', () => storageOf((directory) => LmdbTables.open(directory)))
