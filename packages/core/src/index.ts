export { Batcher } from './host/batcher.ts'
export { defaultHostLimits, type HostEdge, type HostLimits, type Verified } from './host/edge.ts'
export type { Answer } from './host/gateway.ts'
export { Host } from './host/host.ts'
export { Queries } from './host/queries.ts'
export * from './memory/index.ts'
export type { Checkpoint, Journal, JournalRecord, KeyBatch, Position, TableRow, Tables } from './ports.ts'
export { Pump, type PumpPort, type Reading, readEntry } from './pump.ts'
export { Generations } from './rows/generation.ts'
export { defaultSettings, hashBytes, keyGraceMs, rowsVersion, type Settings } from './rows/rows.ts'
export {
  type Command,
  decodeRecord,
  encodeRecord,
  logicVersion,
  readRecord,
  recordVersion,
  type ShardRecord,
} from './shard/commands.ts'
export type { Effects } from './shard/effects.ts'
export { Shard } from './shard/shard.ts'
export { shardOfName } from './shard/state.ts'
export { keyBounds, keyBoundsOf, keyRowsOf, keyTableNumber, sweptIn } from './rows/keyRecords.ts'
export type { MessageState } from './shard/status.ts'
