import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import pino from 'pino'
import { expect, it } from 'vitest'
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

it('[I10] leaves a process enough files of its own', () => {
  const [, files = ''] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
  expect(connectionsMax()).toBe(Number(files) - 256)
})
