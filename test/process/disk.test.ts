import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { statusByNumber } from '@posthaste/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { jsonLines } from '../cli/program.ts'
import { freePort, Place, until } from './place.ts'
import { RawClient, sendPacket } from './raw.ts'

const mebibyte = 1_048_576
/** Only root may mount file systems. */
const mayMount = process.getuid?.() === 0 && process.platform === 'linux'

let place: Place
beforeEach(() => {
  place = new Place()
})
afterEach(() => place.end())

/** A file system of this size below the place's state directory, and what takes its room. */
class SmallDisk {
  readonly #place: Place
  readonly path: string

  constructor(of: Place, mebibytes: number) {
    this.#place = of
    this.path = of.ground.path('.posthaste')
    mkdirSync(this.path, { mode: 0o700 })
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=0700`, 'tmpfs', this.path])
  }

  /** Takes room until only this much is left. */
  leave(bytes: number): void {
    rmSync(`${this.path}/ballast`, { force: true })
    const { bavail, bsize } = statfsSync(this.path)
    writeFileSync(`${this.path}/ballast`, Buffer.alloc(Math.max(0, bavail * bsize - bytes), 1))
  }

  makeRoom(): void {
    rmSync(`${this.path}/ballast`)
  }

  remount(how: 'ro' | 'rw'): void {
    execFileSync('mount', ['-o', `remount,${how}`, this.path])
  }

  async end(): Promise<void> {
    await this.#place.kill()
    execFileSync('umount', [this.path])
  }
}

async function onSmallDisk(mebibytes: number, test: (disk: SmallDisk) => Promise<void>): Promise<void> {
  const disk = new SmallDisk(place, mebibytes)
  try {
    await test(disk)
  } finally {
    await disk.end()
  }
}

const nameOf = (status: number) => statusByNumber(status)
const listen = (count: number) => place.ground.run(['listen', '--as', 'bob', '--json', '--count', String(count)])

describe.runIf(mayMount)('a disk that fills up', () => {
  it('[I1] refuses sends before it is full, goes on taking acknowledgements, and then takes sends again', async () => {
    await onSmallDisk(128, async (disk) => {
      await place.start()
      const alice = await RawClient.join(place.url, place.token('alice'))
      alice.send(sendPacket(1), sendPacket(2))
      expect(nameOf((await alice.take('result')).status)).toBe('sent')
      expect(nameOf((await alice.take('result')).status)).toBe('sent')
      disk.leave(40 * mebibyte)
      const refused = await refusalOf(alice, 3)
      expect(refused.code).toBe(42)
      expect(refused.retryAfterMs).toBeGreaterThan(0)

      const bob = await RawClient.join(place.url, place.token('bob'))
      const first = await bob.take('deliver')
      const second = await bob.take('deliver')
      bob.send({ kind: 'ack', log: first.log, lane: first.lane, upTo: second.seq, notStored: [] })
      await until(
        () => alice.packets.some((packet) => packet.kind === 'mark' && packet.delivered === 2),
        () => `no mark: ${JSON.stringify(alice.packets)}`,
      )

      disk.makeRoom()
      await until(
        () => statfsSync(disk.path).bavail > 0,
        () => 'no room',
      )
      const ref = await sentAfterRefusal(alice, refused.ref)
      expect(ref).toBeGreaterThanOrEqual(refused.ref)
    })
  })

  it('[I1] is waited for by the command line, which says why', async () => {
    await onSmallDisk(128, async (disk) => {
      await place.start()
      disk.leave(40 * mebibyte)
      for (let isHealthy: unknown = true; isHealthy !== false; ) ({ isHealthy } = await place.health())
      expect((await place.ground.run(['status'])).code).toBe(1)
      const sender = place.ground.start(['send', '--as', 'alice', '--to', 'bob', '--store', 'store', 'hello'])
      await sender.until(/disk is nearly full/)
      disk.makeRoom()
      const { code, stdout } = await sender.ended
      expect([code, stdout]).toEqual([0, expect.stringMatching(/^sent /)])
    })
  })

  it('[I1] [I12] ends the server with a word of why when it is full all the same, and nothing that was told sent is lost', async () => {
    await onSmallDisk(96, async (disk) => {
      const server = await place.start()
      const alice = await RawClient.join(place.url, place.token('alice'))
      const sent: bigint[] = []
      const body = Buffer.alloc(60_000, 7)
      alice.onPacket = (packet) => {
        if (packet.kind === 'result' && nameOf(packet.status) === 'sent') sent.push(BigInt(packet.ref))
      }
      alice.send(sendPacket(1, { body }), sendPacket(2, { body }))
      await until(
        () => sent.length === 2,
        () => `sent ${sent}`,
      )
      disk.leave(0)
      for (let ref = 3; ref <= 12; ref++) alice.send(sendPacket(ref, { body }))
      const bob = RawClient.join(place.url, place.token('bob'))
      bob.catch(() => {})
      const { code, stderr, stdout } = await server.ended
      expect(code).toBe(24)
      expect(stdout + stderr).toMatch(/disk-full|is full/)

      const second = await place.ground.run(await place.serverArguments())
      expect([second.code, second.stderr]).toEqual([24, expect.stringContaining('is full')])

      disk.makeRoom()
      await place.start()
      const received = jsonLines((await listen(sent.length)).stdout).map(({ id }) => BigInt(String(id)))
      expect(received.slice(0, sent.length)).toEqual(sent)
    })
  })
})

describe.runIf(mayMount)('a checkpoint that fails', () => {
  it('[I12] ends the server with a word of why, and nothing is lost', async () => {
    await onSmallDisk(128, async (disk) => {
      const server = await place.start()
      disk.leave(0)
      const { code, stderr } = await server.ended
      expect([code, stderr]).toEqual([24, expect.stringMatching(/"disk-full","message":"The disk of .* is full/)])
      disk.makeRoom()
      await place.start()
      expect((await place.ground.run(['user', 'show', 'alice'])).code).toBe(0)
    })
  })
})

describe.runIf(mayMount)('a directory that is read-only', () => {
  it('[I1] is named, and keeps what it has', async () => {
    await onSmallDisk(128, async (disk) => {
      await place.start()
      const alice = await RawClient.join(place.url, place.token('alice'))
      alice.send(sendPacket(1))
      expect(nameOf((await alice.take('result')).status)).toBe('sent')
      await place.kill()
      disk.remount('ro')
      const refused = await place.ground.run(await place.serverArguments())
      expect([refused.code, refused.stderr]).toEqual([23, expect.stringContaining(disk.path)])
      expect(refused.stderr).toMatch(/can't be written to/)
      disk.remount('rw')
      await place.start()
      expect(jsonLines((await listen(1)).stdout).map(({ text }) => text)).toEqual(['hello'])
    })
  })
})

describe('a place that is taken', () => {
  it('is named with who holds it, and the first server goes on', async () => {
    const first = await place.start()
    const ports = ['--port', String(await freePort()), '--admin-port', String(await freePort())]
    const second = await place.ground.run(['serve', ...ports])
    expect([second.code, second.stderr]).toEqual([22, expect.stringContaining(`process ${first.child.pid}`)])
    expect(second.stderr).toContain(place.ground.path('.posthaste/data'))
    expect((await place.health()).isHealthy).toBe(true)
  })

  it('is named when it is a port, and the directory is free again at once', async () => {
    const blocker = createServer()
    const port = await freePort()
    await new Promise<void>((resolve) => blocker.listen(port, '127.0.0.1', resolve))
    const serve = ['serve', '--host', '127.0.0.1', '--admin-port', '0', '--port']
    const refused = await place.ground.run([...serve, String(port)])
    await new Promise((resolve) => blocker.close(resolve))
    expect([refused.code, refused.stderr]).toEqual([21, expect.stringContaining(`Port ${port} on 127.0.0.1 is in use`)])
    const server = place.ground.start([...serve, String(port), '--json'], { input: null })
    await server.until('"event":"listening"')
  })
})

/** Sends until the server refuses, from this ref on. */
async function refusalOf(client: RawClient, firstRef: number): Promise<{ ref: number; code: number; retryAfterMs: number }> {
  let ref = firstRef
  const isRefused = () => client.packets.some(({ kind }) => kind === 'refuse')
  await until(
    () => {
      if (!isRefused()) client.send(sendPacket(ref++))
      return isRefused()
    },
    () => 'nothing was refused',
  )
  return await client.take('refuse')
}

/** Resumes and sends until the server accepts. @returns the ref that was accepted */
async function sentAfterRefusal(client: RawClient, firstRef: number): Promise<number> {
  client.packets.length = 0
  let ref = firstRef
  for (;;) {
    client.send({ kind: 'resume', ref }, sendPacket(ref))
    await until(
      () => client.packets.some(({ kind }) => kind === 'refuse' || kind === 'result'),
      () => 'no answer',
    )
    if (client.packets.some(({ kind }) => kind === 'result')) return (await client.take('result')).ref
    const refusal = await client.take('refuse')
    ref = refusal.ref
    await new Promise((resolve) => setTimeout(resolve, refusal.retryAfterMs))
  }
}
