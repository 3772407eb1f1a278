/** One run of one contestant under one workload: a new server, a new directory on the disk, a new load generator. */
import { setTimeout as passed } from 'node:timers/promises'
import { Child } from '../child.ts'
import { machineCpuMs, makeDirectory } from '../ground.ts'
import type { Peer, Workload } from './peer.ts'
import type { PeerLoadEnd, PeerLoadReport, PeerLoadSettings } from './peerLoad.ts'
import { cpuMsOf } from './serverProcess.ts'

/** What a run came to. */
export interface PeerRun {
  /** Different messages that came in a second, while it was measured. */
  readonly perSecond: number
  /** Of the server and all its processes, for a message. */
  readonly serverCpuUs: number
  readonly loadCpuUs: number
  /** The share of one processor that the load generator, a single thread, took: near 1 it is the limit itself. */
  readonly loadBusy: number
  /** Processors taken by what does not belong to the bench. */
  readonly otherProcessors: number
  /** Of the whole run, with what came after the end of the measurement. */
  readonly sent: number
  readonly unconfirmed: number
  /** Confirmed, and did not come. */
  readonly lost: number
  /** Confirmed, and still under way a minute after the last one was sent: the server confirms faster than it delivers. */
  readonly late: number
  readonly duplicates: number
  readonly outOfOrder: number
}

/** Runs a contestant once. @throws Error when its server or the load generator ends early */
export async function measurePeer(peer: Peer, workload: Workload): Promise<PeerRun> {
  const directory = makeDirectory()
  try {
    const running = await peer.start(directory.path, workload)
    try {
      const settings: PeerLoadSettings = { workload, wire: running.wire }
      const load = new Child('peers/peerLoad.ts', settings)
      try {
        return await measure(load, running.pid, workload)
      } finally {
        await load.end()
      }
    } finally {
      await running.stop()
    }
  } finally {
    directory.remove()
  }
}

async function measure(load: Child, serverPid: number, { warmUpMs, measuredMs }: Workload): Promise<PeerRun> {
  await load.ask('connect')
  await load.ask('start')
  await passed(warmUpMs)
  const before = { ...(await load.ask<PeerLoadReport>('report')), serverCpuMs: cpuMsOf(serverPid), machineMs: machineCpuMs() }
  await passed(measuredMs)
  const after = { ...(await load.ask<PeerLoadReport>('report')), serverCpuMs: cpuMsOf(serverPid), machineMs: machineCpuMs() }
  const end = await load.ask<PeerLoadEnd>('stop')
  const messages = after.received - before.received
  const ms = after.ms - before.ms
  const serverCpuMs = after.serverCpuMs - before.serverCpuMs
  const loadCpuMs = after.cpuMs - before.cpuMs
  if (messages === 0) throw new Error('nothing came while it was measured')
  return {
    perSecond: (messages / ms) * 1_000,
    serverCpuUs: (serverCpuMs * 1_000) / messages,
    loadCpuUs: (loadCpuMs * 1_000) / messages,
    loadBusy: loadCpuMs / ms,
    otherProcessors: Math.max(0, after.machineMs - before.machineMs - serverCpuMs - loadCpuMs) / ms,
    sent: end.sent,
    unconfirmed: end.sent - end.confirmed,
    lost: end.isCutShort ? 0 : end.missing,
    late: end.isCutShort ? end.missing : 0,
    duplicates: end.duplicates,
    outOfOrder: end.outOfOrder,
  }
}
