import { limits, type PacketOf, Reader, Writer } from '@posthaste/protocol'
import * as schema from '@posthaste/protocol/schema'
import { hashBytes } from '../rows/rows.ts'

/** What goes into a shard, and the records that carry it. Whatever `apply` needs to know is in here or in the shard's rows. */

const { bool, bin, kind, list, octets, packet, str, tuple, u64, uint } = schema
const number = uint(limits.numberMax)
const lane = uint(limits.priorityMax)
const name = schema.address
const device = str(32)
/** A name that may be absent. */
const anyName = str(limits.addressBytes)
const ranges = list(tuple({ from: number, to: number }), limits.ranges)
const cursors = list(tuple({ lane, seq: number, notStored: ranges }), 64)

/** `tag` names the session (0: nobody waits), `ref` what it waits for. They only route results and are never stored. */
const origin = { tag: number, ref: number }

/** The first record of a server incarnation. A higher epoch follows a restore. */
export const begin = packet(1, 'begin', { incarnation: number, epoch: number, shards: uint(256) })

const sendFields = {
  ...origin,
  sender: number,
  senderName: name,
  device,
  toKind: kind,
  to: name,
  id: u64,
  type: uint(limits.typeMax),
  priority: lane,
  deadlineMs: number,
  receipts: bool,
  isTooLarge: bool,
  /** The first 128 bits of the content's SHA-256, a character for each byte. Empty without an id. */
  hash: octets(hashBytes),
  body: bin(0, limits.bodyBytes),
}

/** A message of `sender`. A body over the limit comes as empty, with `isTooLarge`. */
export const send = packet(2, 'send', sendFields, { write: writeSend, read: readSend })

/** The copy of what a user sent, for the user's other devices. */
export const echo = packet(3, 'echo', {
  sender: number,
  device,
  toKind: kind,
  to: name,
  id: u64,
  type: uint(limits.typeMax),
  priority: lane,
  deadlineMs: number,
  body: bin(0, limits.bodyBytes),
})

/** A device has connected. `issuedAtMs` is its token's; the cursors are of `log`. Creates the user when it is new. */
export const session = packet(4, 'session', {
  ...origin,
  user: name,
  issuedAtMs: number,
  device,
  session: number,
  epoch: number,
  log: number,
  cursors,
})

/** A connected device begins to read a group's log. `devices` are those that its user has at the moment. */
export const attach = packet(5, 'attach', {
  ...origin,
  group: number,
  user: number,
  device,
  session: number,
  epoch: number,
  cursors,
  devices: list(device, 255),
})

/** A device has disconnected. */
export const sessionEnd = packet(6, 'sessionEnd', { user: number, device, session: number })

const ackFields = {
  ...origin,
  log: number,
  user: number,
  device,
  session: number,
  lane,
  upTo: number,
  notStored: ranges,
}

/** A device has durably passed a lane up to `upTo`, and stored all of it but these ranges. */
export const ack = packet(7, 'ack', ackFields, { write: writeAck, read: readAck })

/** An app has read up to a message: by its sender's count, in a group's log by its seq. */
export const read = packet(8, 'read', {
  ...origin,
  log: number,
  user: number,
  device,
  session: number,
  lane,
  seq: number,
  sender: number,
  count: number,
})

/** Makes a user, if there is none of that name. */
export const userCreate = packet(9, 'userCreate', { ...origin, user: name })
/** Deletes a user: its log, its sessions, its memberships. */
export const userDelete = packet(10, 'userDelete', { ...origin, user: name, validAfterMs: number })
/** Ends the validity of a user's tokens that were issued up to a time. */
export const revoke = packet(11, 'revoke', { ...origin, user: name, validAfterMs: number })
/** Makes a group with its maker as its first member. `by` 0 is the operator. Begins in the maker's shard, goes on in the group's. */
export const groupCreate = packet(12, 'groupCreate', { ...origin, group: name, by: number, byName: anyName })
/** Deletes a group: its log and its members. */
export const groupDelete = packet(13, 'groupDelete', { ...origin, group: name, by: number })
/** Begins in the user's shard, goes on in the group's as `memberJoin`, and ends in the user's as `membership`. */
export const memberSet = packet(14, 'memberSet', { ...origin, group: name, user: name, roles: uint(7), by: number })
/** The second step of `memberSet`. */
export const memberJoin = packet(15, 'memberJoin', {
  ...origin,
  group: name,
  user: number,
  userName: name,
  roles: uint(7),
  by: number,
  /** Whether the user is in as many groups as it may. */
  isFull: bool,
})
/** The last step of `memberSet`. */
export const membership = packet(16, 'membership', { user: number, group: number, groupName: name, roles: uint(7) })
/** A user blocks another, or no longer does. */
export const block = packet(17, 'block', { ...origin, user: number, target: number, targetName: name, isBlocked: bool })
/** Replaces all settings of a shard. */
export const settings = packet(18, 'settings', {
  bodyBytes: number,
  expirySecondsMax: number,
  devicesPerUser: uint(255),
  deviceDays: number,
  inboxEntries: number,
  inboxBytes: number,
  groupEntries: number,
  groupBytes: number,
  groupsPerUser: uint(limits.groups),
  membersPerGroup: number,
  usersMayCreateGroups: bool,
})
/** A command that another shard forwarded: applied once per (source, epoch, number), in order. */
export const forwarded = packet(19, 'forwarded', { source: uint(256), epoch: number, number, command: bin(0, 2_097_152) })
/** The target has applied what was forwarded in this epoch, up to this number. */
export const forwardDone = packet(20, 'forwardDone', { target: uint(256), epoch: number, number })

/** The identity of a deleted user has ended: what other shards hold of it goes too. */
export const userEnd = packet(21, 'userEnd', { user: number })

/** The shapes of all commands. */
export const commandShapes = [
  begin,
  send,
  echo,
  session,
  attach,
  sessionEnd,
  ack,
  read,
  userCreate,
  userDelete,
  revoke,
  groupCreate,
  groupDelete,
  memberSet,
  memberJoin,
  membership,
  block,
  settings,
  forwarded,
  forwardDone,
  userEnd,
] as const

/** Any command. */
export type Command = PacketOf<(typeof commandShapes)[number]>
/** The command of one kind. */
export type CommandOf<K extends Command['kind']> = Extract<Command, { kind: K }>

/** The version of the logic: a tail of another version is refused. */
export const logicVersion = 3

/** What one append makes durable: a batch of commands with the time at which they were gathered. */
export interface ShardRecord {
  /** The shard's clock: ms since the epoch, never below the record before. */
  readonly clockMs: number
  /** The writer's incarnation and its own number for the record, by which it is applied once. */
  readonly incarnation: number
  readonly number: number
  readonly commands: readonly Command[]
}

/** A record as it is applied: its commands may be decoded one after the other, so that a long record is never in memory as objects. */
export interface AppliedRecord extends Omit<ShardRecord, 'commands'> {
  readonly commands: Iterable<Command>
}

function writeSend(writer: Writer, command: schema.ValuesOf<typeof sendFields>): void {
  writer.uint(command.tag)
  writer.uint(command.ref)
  writer.uint(command.sender)
  writer.str(command.senderName)
  writer.str(command.device)
  writer.uint(command.toKind)
  writer.str(command.to)
  writer.u64(command.id)
  writer.uint(command.type)
  writer.uint(command.priority)
  writer.uint(command.deadlineMs)
  writer.bool(command.receipts)
  writer.bool(command.isTooLarge)
  writer.octets(command.hash)
  writer.bin(command.body)
}

function readSend(reader: Reader): { readonly kind: 'send' } & schema.ValuesOf<typeof sendFields> {
  return {
    kind: 'send',
    tag: reader.uint('send.tag', limits.numberMax),
    ref: reader.uint('send.ref', limits.numberMax),
    sender: reader.uint('send.sender', limits.numberMax),
    senderName: name.read(reader, 'send.senderName'),
    device: reader.str('send.device', 32),
    toKind: kind.read(reader, 'send.toKind'),
    to: name.read(reader, 'send.to'),
    id: reader.u64('send.id'),
    type: reader.uint('send.type', limits.typeMax),
    priority: reader.uint('send.priority', limits.priorityMax),
    deadlineMs: reader.uint('send.deadlineMs', limits.numberMax),
    receipts: reader.bool('send.receipts'),
    isTooLarge: reader.bool('send.isTooLarge'),
    hash: reader.octets('send.hash', hashBytes),
    body: reader.bin('send.body', limits.bodyBytes),
  }
}

function writeAck(writer: Writer, command: schema.ValuesOf<typeof ackFields>): void {
  writer.uint(command.tag)
  writer.uint(command.ref)
  writer.uint(command.log)
  writer.uint(command.user)
  writer.str(command.device)
  writer.uint(command.session)
  writer.uint(command.lane)
  writer.uint(command.upTo)
  ranges.write(writer, command.notStored)
}

function readAck(reader: Reader): { readonly kind: 'ack' } & schema.ValuesOf<typeof ackFields> {
  return {
    kind: 'ack',
    tag: reader.uint('ack.tag', limits.numberMax),
    ref: reader.uint('ack.ref', limits.numberMax),
    log: reader.uint('ack.log', limits.numberMax),
    user: reader.uint('ack.user', limits.numberMax),
    device: reader.str('ack.device', 32),
    session: reader.uint('ack.session', limits.numberMax),
    lane: reader.uint('ack.lane', limits.priorityMax),
    upTo: reader.uint('ack.upTo', limits.numberMax),
    notStored: ranges.read(reader, 'ack.notStored'),
  }
}

const byKind = new Map<string, schema.AnyShape>(commandShapes.map((shape) => [shape.kind, shape]))
const byNumber: (schema.AnyShape | undefined)[] = []
for (const shape of commandShapes) byNumber[shape.number] = shape

/** Appends a command to what becomes a record. */
export function writeCommand(writer: Writer, command: Command): void {
  const shape = byKind.get(command.kind) as schema.AnyShape
  schema.writePacket(writer, shape, command as unknown as PacketOf<schema.AnyShape>)
}

/** The bytes of one command, for a forwarding queue. */
export function encodeCommand(command: Command): Uint8Array {
  const writer = new Writer(256)
  writeCommand(writer, command)
  return writer.take()
}

/** The command in these bytes. @throws ProtocolError when they are none */
export function decodeCommand(bytes: Uint8Array): Command {
  return readCommand(new Reader(bytes))
}

/** A record as it is stored: version, clock, incarnation, number, commands. */
export function encodeRecord(record: ShardRecord, writer: Writer): Uint8Array {
  writer.array(5)
  writer.uint(logicVersion)
  writer.uint(record.clockMs)
  writer.uint(record.incarnation)
  writer.uint(record.number)
  writer.array(record.commands.length)
  for (const command of record.commands) writeCommand(writer, command)
  return writer.take()
}

/** The logic version that a stored record was written by. @throws ProtocolError when it is no record */
export function recordVersion(bytes: Uint8Array): number {
  const reader = new Reader(bytes)
  reader.array('record', 5)
  return reader.uint('version', limits.numberMax)
}

/** The record in these bytes, all of it. @throws ProtocolError when it is none, or of another version */
export function decodeRecord(bytes: Uint8Array): ShardRecord {
  const record = readRecord(bytes)
  return { ...record, commands: [...record.commands] }
}

/**
 * The record in these bytes, to be applied at once: each command is decoded when it is asked for.
 * @throws ProtocolError when it is none, or of another version; its commands do so too
 */
export function readRecord(bytes: Uint8Array): AppliedRecord {
  const reader = new Reader(bytes)
  reader.array('record', 5)
  reader.uint('version', logicVersion)
  const clockMs = reader.uint('clock', limits.numberMax)
  const incarnation = reader.uint('incarnation', limits.numberMax)
  const recordNumber = reader.uint('number', limits.numberMax)
  return { clockMs, incarnation, number: recordNumber, commands: new CommandReader(reader) }
}

/** The commands that follow in a record. Not a generator: a million of them are read when a server opens, and resuming one costs more than reading on. */
class CommandReader implements IterableIterator<Command, void> {
  readonly #reader: Reader
  #left: number

  constructor(reader: Reader) {
    this.#reader = reader
    this.#left = reader.array('commands', limits.numberMax)
  }

  next(): IteratorResult<Command, void> {
    if (this.#left === 0) return { done: true, value: undefined }
    this.#left -= 1
    return { done: false, value: readCommand(this.#reader) }
  }

  [Symbol.iterator](): this {
    return this
  }
}

function readCommand(reader: Reader): Command {
  const elements = reader.array('command', 32)
  const shape = byNumber[reader.uint('command number', 999)]
  if (shape === undefined) throw new RangeError('no such command')
  return schema.readFields(reader, shape, elements) as unknown as Command
}
