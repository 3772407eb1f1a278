import { describe, expect, it } from 'vitest'
import { FrameWriter } from '../../src/sockets/frames.ts'

/** A socket that passes on what it is given, or keeps it. */
class FakeSocket {
  readonly written: Uint8Array[] = []
  isSlow = false
  writableLength = 0

  write(bytes: Uint8Array): void {
    this.written.push(bytes)
    if (this.isSlow) this.writableLength += bytes.length
  }

  /** What has been written by now. */
  get hex(): string[] {
    return this.written.map((bytes) => Buffer.from(bytes).toString('hex'))
  }
}

describe('frames', () => {
  it.each([
    [0, '8200'],
    [1, '8201'],
    [125, '827d'],
    [126, '827e007e'],
    [8_188, '827e1ffc'],
    [8_189, '827e1ffd'],
    [65_535, '827effff'],
    [65_536, '827f0000000000010000'],
  ])('of %i bytes begin with %s and end with the message', (length, header) => {
    const socket = new FakeSocket()
    const payload = Buffer.alloc(length, 0x5a)
    new FrameWriter().write(socket, payload)
    expect(socket.hex).toEqual([header + payload.toString('hex')])
  })

  it('a message for many is one frame', () => {
    const frames = new FrameWriter()
    const sockets = [new FakeSocket(), new FakeSocket()]
    const payload = Buffer.from('once')
    for (const socket of sockets) frames.write(socket, payload)
    expect(sockets[0]?.written[0]).toBe(sockets[1]?.written[0])
  })

  it('[I10] what sockets still hold stays as it was, and holds no more memory than it must', () => {
    const frames = new FrameWriter()
    const slow = new FakeSocket()
    slow.isSlow = true
    const wanted: string[] = []
    for (let byte = 0; byte < 5; byte++) {
      const payload = Buffer.alloc(100, byte)
      frames.write(slow, payload)
      frames.write(new FakeSocket(), Buffer.alloc(100, 0xff))
      wanted.push(`8264${payload.toString('hex')}`)
    }
    expect(slow.hex).toEqual(wanted)
    const [first, ...rest] = slow.written
    expect(new Set(rest.map(({ buffer }) => buffer)).has(first?.buffer as ArrayBuffer)).toBe(false)
  })

  it('a frame that a slow socket holds is still the one for the others', () => {
    const frames = new FrameWriter()
    const [slow, other] = [new FakeSocket(), new FakeSocket()]
    slow.isSlow = true
    const payload = Buffer.from('once')
    for (const socket of [slow, other]) frames.write(socket, payload)
    frames.write(other, Buffer.from('then'))
    expect(slow.hex).toEqual(['82046f6e6365'])
    expect(other.hex[1]).toBe('82047468656e')
  })
})
