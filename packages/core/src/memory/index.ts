/** The ports in memory, for tests and the simulator. */
export { MemoryJournal, type MemoryJournalOptions } from './journal.ts'
export { MemoryTables } from './tables.ts'
