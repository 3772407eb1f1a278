import { describe, expect, it } from 'vitest'
import { deliver, Rig } from './rig.ts'

const again = (rig: Rig): void => {
  rig.step({ kind: 'socketClosed', socket: rig.socket, closeCode: 1_006 })
  rig.step({ kind: 'timer', timer: 'connection' })
}

describe('a device', () => {
  it('is who it was made as, whatever becomes of the bytes that it was read from', () => {
    const newDevice = new Uint8Array(16).fill(9)
    const rig = new Rig()
    rig.step({ kind: 'start' })
    rig.step({ kind: 'opened', rows: [], newDevice })
    newDevice.fill(0)
    rig.step({ kind: 'timer', timer: 'connection' })
    expect(rig.greet().device).toEqual(new Uint8Array(16).fill(9))
    const rows = rig.disk.open()
    const restarted = new Rig(rig.disk)
    restarted.step({ kind: 'start' })
    restarted.step({ kind: 'opened', rows, newDevice: new Uint8Array(16).fill(1) })
    for (const [, value] of rows) value.fill(0)
    restarted.step({ kind: 'timer', timer: 'connection' })
    expect(restarted.greet().device).toEqual(new Uint8Array(16).fill(9))
  })

  it('opens no socket before the number of that session is stored, whatever else was being stored', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    rig.say(deliver(1))
    again(rig)
    rig.takeToken()
    rig.clear()
    rig.releaseOne()
    expect(rig.all('openSocket')).toEqual([])
    rig.releaseOne()
    expect(rig.all('openSocket')).toHaveLength(1)
  })

  it('stores nothing at a WELCOME that says nothing new', () => {
    const rig = new Rig().live()
    again(rig)
    rig.takeToken('alice')
    rig.clear()
    rig.live()
    expect(rig.all('commit')).toEqual([])
  })
})
