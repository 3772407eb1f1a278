/** The ports in memory, for tests and the simulator. */
export { MemoryJournal, type MemoryJournalOptions } from './journal.ts'
export { MemoryTables } from './tables.ts'
export { compareBytes } from './compare-bytes.ts'
export { type Change, SortedRows } from './sorted-rows.ts'
