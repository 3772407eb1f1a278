import { type AddressKind, addressFault } from './address.ts'
import { limits } from './limits.ts'
import { fail, type Reader } from './reader.ts'
import type { Writer } from './writer.ts'

/** How one field of a packet is written and read. `name` is for error texts. */
export interface Field<T> {
  write(writer: Writer, value: T): void
  read(reader: Reader, name: string): T
}

/** The type of the values of a field. */
export type ValueOf<F> = F extends Field<infer T> ? T : never

/** A packet's shape: its number, its name and its fields in wire order. */
export interface PacketShape<K extends string, F extends Record<string, Field<unknown>>> {
  readonly number: number
  readonly kind: K
  readonly fields: F
  /** The fields as a list, in wire order. */
  readonly entries: readonly FieldEntry[]
  readonly written: WrittenOut<string, Record<string, Field<unknown>>> | undefined
}

/** The values of named fields. */
export type ValuesOf<F> = { readonly [P in keyof F]: ValueOf<F[P]> }

/**
 * What a packet of the hot path does instead of going through its fields one by one: the same, written out. A test compares it with
 * the fields.
 */
export interface WrittenOut<K extends string, F> {
  /** Writes all fields, after the header and the number. */
  readonly write?: (writer: Writer, values: ValuesOf<F>) => void
  /** Reads all fields. */
  readonly read?: (reader: Reader) => { readonly kind: K } & ValuesOf<F>
}

/** A field with its name, and with what error texts call it (made once, not for every packet). */
export interface FieldEntry {
  readonly name: string
  readonly path: string
  readonly field: Field<unknown>
}

/** The packet that a shape describes. */
export type PacketOf<S> =
  S extends PacketShape<infer K, infer F> ? { readonly kind: K } & { readonly [P in keyof F]: ValueOf<F[P]> } : never

/** A whole number from `min`, 0 if not given, to `max`. */
export const uint = (max: number, min = 0): Field<number> => ({
  write: (writer, value) => writer.uint(value),
  read: (reader, name) => {
    const value = reader.uint(name, max)
    return value < min ? fail('out-of-range', name, `${min} to ${max} is allowed`) : value
  },
})

/** An unsigned 64-bit id. */
export const u64: Field<bigint> = {
  write: (writer, value) => writer.u64(value),
  read: (reader, name) => reader.u64(name),
}

/** True or false. */
export const bool: Field<boolean> = {
  write: (writer, value) => writer.bool(value),
  read: (reader, name) => reader.bool(name),
}

/** A string of at most `max` bytes of UTF-8. */
export const str = (max: number): Field<string> => ({
  write: (writer, value) => writer.str(value),
  read: (reader, name) => reader.str(name, max),
})

/** At most `max` bytes, up to 255, as a string with a character for each, which is cheaper to compare and to keep than bytes are. */
export const octets = (max: number): Field<string> => ({
  write: (writer, value) => writer.octets(value),
  read: (reader, name) => reader.octets(name, max),
})

/** Bytes, `min` to `max` of them. Reading gives a view into the message. */
export const bin = (min: number, max: number): Field<Uint8Array> => ({
  write: (writer, value) => writer.bin(value),
  read: (reader, name) => {
    const value = reader.bin(name, max)
    return value.length < min ? fail('out-of-range', name, `${min} to ${max} bytes are allowed`) : value
  },
})

/** The name of a user or a group. */
export const address: Field<string> = {
  write: (writer, value) => writer.str(value),
  read: (reader, name) => {
    const value = reader.str(name, limits.addressBytes)
    const fault = addressFault(value)
    return fault === undefined ? value : fail('out-of-range', name, `not an address: ${fault}`)
  },
}

/** 0 a user, 1 a group. */
export const kind: Field<AddressKind> = {
  write: (writer, value) => writer.uint(value),
  read: (reader, name) => (reader.uint(name, 1) === 0 ? 0 : 1),
}

/** An array of at most `max` elements. */
export const list = <T>(element: Field<T>, max: number): Field<readonly T[]> => ({
  write: (writer, value) => {
    writer.array(value.length)
    for (const item of value) element.write(writer, item)
  },
  read: (reader, name) => {
    const length = reader.array(name, max)
    const items: T[] = []
    for (let at = 0; at < length; at++) items.push(element.read(reader, name))
    return items
  },
})

/** An array of named fields in a fixed order. */
export const tuple = <F extends Record<string, Field<unknown>>>(fields: F): Field<{ readonly [P in keyof F]: ValueOf<F[P]> }> => {
  // By the name that it has where it was read last: names of fields are not put together for each of many items.
  let known = ''
  let entries = entriesOf(fields)
  return {
    write: (writer, value) => {
      writer.array(entries.length)
      for (const { name, field } of entries) field.write(writer, value[name])
    },
    read: (reader, tupleName) => {
      if (reader.array(tupleName, limits.numberMax) !== entries.length)
        fail('malformed-packet', tupleName, `${entries.length} elements are expected`)
      if (known !== tupleName) entries = entriesOf(fields, `${tupleName}.`)
      known = tupleName
      const value: Record<string, unknown> = {}
      for (const { name, path, field } of entries) value[name] = field.read(reader, path)
      return value as { readonly [P in keyof F]: ValueOf<F[P]> }
    },
  }
}

/** A value or nil. */
export const optional = <T>(field: Field<T>): Field<T | null> => ({
  write: (writer, value) => (value === null ? writer.nil() : field.write(writer, value)),
  read: (reader, name) => (reader.nil() ? null : field.read(reader, name)),
})

/** Declares a packet. */
export function packet<K extends string, F extends Record<string, Field<unknown>>>(
  number: number,
  kind: K,
  fields: F,
  written?: WrittenOut<K, F>,
): PacketShape<K, F> {
  return { number, kind, fields, entries: entriesOf(fields, `${kind}.`), written: written as PacketShape<K, F>['written'] }
}

/** A shape of any packet, for tables of them. */
export type AnyShape = PacketShape<string, Record<string, Field<unknown>>>

/** Writes one packet: an array of its number and its fields. @throws RangeError with nothing written, when a field can't be encoded */
export function writePacket<S extends AnyShape>(writer: Writer, shape: S, values: Omit<PacketOf<S>, 'kind'>): void {
  const given = values as Record<string, unknown>
  const start = writer.length
  try {
    writer.array(shape.entries.length + 1)
    writer.uint(shape.number)
    if (shape.written?.write !== undefined) shape.written.write(writer, given)
    else for (const { name, field } of shape.entries) field.write(writer, given[name])
  } catch (error) {
    // The message goes on without this packet: half of it would make the rest unreadable.
    writer.cut(start)
    throw error
  }
}

/** Reads the fields of a packet whose array header and number were read. @param elements the array's length */
export function readFields(reader: Reader, shape: AnyShape, elements: number): { kind: string } & Record<string, unknown> {
  const expected = shape.entries.length + 1
  if (elements !== expected) fail('malformed-packet', shape.kind, `${expected} elements are expected, ${elements} came`)
  if (shape.written?.read !== undefined) return shape.written.read(reader)
  const values: { kind: string } & Record<string, unknown> = { kind: shape.kind }
  for (const { name, path, field } of shape.entries) values[name] = field.read(reader, path)
  return values
}

function entriesOf(fields: Record<string, Field<unknown>>, prefix = ''): readonly FieldEntry[] {
  return Object.entries(fields).map(([name, field]) => ({ name, path: prefix + name, field }))
}
