import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import pino from 'pino'
import { expect, it, vi } from 'vitest'
import { WebSocket } from 'ws'
import { GatewayProcesses } from '../../src/sockets/processes.ts'
import { connectionsMax } from '../../src/sockets/sockets.ts'

const nothing = (): void => undefined
const events = { connected: nothing, message: nothing, refused: nothing, heard: nothing, read: nothing, closed: nothing }

/** The processes that hold sockets for this one. */
function childrenOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
  return children.filter((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('sockets/process'))
}

it('[I10] a process that dies takes along also the connections that were on their way to it', async () => {
  const settings = { messageBytesMax: 65_536, heartbeatMs: 30_000, logLevel: 'silent' }
  const processes = new GatewayProcesses(1, settings, pino({ level: 'silent' }), events)
  try {
    const port = await processes.listen(0, '127.0.0.1')
    const [child = 0] = childrenOf(process.pid)
    process.kill(child, 'SIGSTOP')
    const ends: Promise<unknown>[] = []
    const connections: Promise<unknown>[] = []
    for (let count = 0; count < 20; count++) {
      const client = connect(port, '127.0.0.1')
      client.on('error', nothing)
      client.resume()
      ends.push(new Promise((resolve) => client.on('close', resolve)))
      connections.push(new Promise((resolve) => client.on('connect', resolve)))
    }
    await Promise.all(connections)
    await expect.poll(() => processes.accepted).toBe(20)
    process.kill(child, 'SIGKILL')
    await Promise.all(ends)
  } finally {
    await processes.end()
  }
})

it('[I10] a process that stands still is killed and started again; one that answers stays', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  const settings = { messageBytesMax: 65_536, heartbeatMs: 30_000, logLevel: 'silent' }
  const read = vi.fn()
  const processes = new GatewayProcesses(1, settings, pino({ level: 'silent' }), { ...events, read })
  try {
    const port = await processes.listen(0, '127.0.0.1')
    const [child = 0] = childrenOf(process.pid)
    const client = new WebSocket(`ws://127.0.0.1:${port}/v1/connect`)
    const closed = new Promise((resolve) => client.on('close', resolve))
    await new Promise((resolve) => client.on('open', resolve))
    for (let check = 1; check <= 10; check++) {
      read.mockClear()
      vi.advanceTimersByTime(3_000)
      await expect.poll(() => read).toHaveBeenCalled()
    }
    process.kill(child, 'SIGSTOP')
    vi.advanceTimersByTime(15_000)
    await new Promise((resolve) => setImmediate(resolve))
    expect([childrenOf(process.pid), client.readyState]).toEqual([[child], WebSocket.OPEN])
    vi.advanceTimersByTime(3_000)
    await closed
    await expect.poll(() => childrenOf(process.pid)).toEqual([expect.toSatisfy((pid) => pid !== child)])
  } finally {
    vi.useRealTimers()
    await processes.end()
  }
})

it('[I10] leaves a process enough files of its own', () => {
  const [, files = ''] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
  expect(connectionsMax()).toBe(Number(files) - 256)
})
