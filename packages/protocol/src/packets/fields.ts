import { limits } from '../limits.ts'
import { address, bin, kind, list, str, tuple, u64, uint } from '../schema.ts'

/** Fields that several packets share. */

/** An identity of a user or group, a seq, a count, a time in ms, an epoch: a whole number below 2^53. */
export const number = uint(limits.numberMax)
export const lane = uint(limits.priorityMax)
export const type = uint(limits.typeMax)
/** Numbers that a session counts: SENDs (`ref`), requests and real-time tokens. */
export const ref = uint(0xffff_ffff)
export const code = uint(999)
export const body = bin(0, limits.bodyBytes)
/** The 128-bit id of a device. */
export const device = bin(16, 16)
/** Bits of a member's rights: 1 send, 2 receive, 4 admin; 0 is no member. */
export const roles = uint(7)
/** A range of seqs, both ends included. */
export const range = tuple({ from: number, to: number })
export const ranges = list(range, limits.ranges)
export const page = str(limits.pageBytes)
export const pageSize = uint(limits.items, 1)
/** One message as its sender names it. */
export const messageName = tuple({ toKind: kind, to: address, id: u64 })
