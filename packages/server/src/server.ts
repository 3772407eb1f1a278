import { randomInt } from 'node:crypto'
import type { HostLimits } from '@posthaste/core'
import type { FastifyInstance } from 'fastify'
import { TokenVerifier } from './auth/index.ts'
import { allOptions } from './check-options.ts'
import { describeFailure, exitCodeOf } from './cli/exit-codes.ts'
import { type CheckpointPolicy, defaultCheckpointPolicy, Engine } from './engine.ts'
import { Gateway } from './gateway.ts'
import { HostOperations } from './hostOperations.ts'
import { createHttpApi } from './http/index.ts'
import { createLogger } from './logging.ts'
import type { AllServerOptions, RunningServer, ServerOptions } from './options.ts'
import type { SegmentOptions } from './storage/segments.ts'
import { version } from './version.ts'

/** How long the HTTP API may take to answer what it has when it closes. */
const apiCloseMs = 2_000
/** The first epoch of a new data directory is one up to here, by chance: half of all, since each restore takes a later one. */
const newEpochMax = 4_096

/** What tests and benchmarks may set beside the options. */
export interface Tuning {
  readonly limits?: Partial<HostLimits> | undefined
  readonly checkpoint?: Partial<CheckpointPolicy> | undefined
  readonly journal?: Partial<SegmentOptions> | undefined
}

/**
 * The composition root: data directory, journals, gateway, HTTP API.
 * @throws OptionError for an option that can't be
 * @throws StorageError, EngineError or AuthError when it can't be opened; a system error (EADDRINUSE with its `port`) when it can't listen.
 * Nothing is left open then.
 */
export async function startServer(given: ServerOptions, tuning: Tuning = {}): Promise<RunningServer> {
  const options = allOptions(given)
  const hidden = [options.adminKey, ...(options.auth.secrets ?? []).map((secret) => Buffer.from(secret).toString('base64url'))]
  const logger = createLogger({ level: options.logLevel, hidden })
  const auth = await TokenVerifier.create(options.auth)
  const policy = { ...defaultCheckpointPolicy, ...tuning.checkpoint }
  const engine = await Engine.open(options.dataDirectory, options.shards, logger, policy, tuning.journal)
  const onFailure = (error: unknown): void => {
    logger.fatal(
      { err: error },
      'The journal failed: nothing more can be promised. The server stops at once; start it again when the disk is well.',
    )
    process.exit(exitCodeOf(describeFailure(error).code).number)
  }
  const gateway = new Gateway({
    engine,
    auth,
    logger,
    isRestored: options.isRestored,
    epochMin: epochMinOf(engine, options),
    settings: options.limits,
    limits: tuning.limits ?? {},
    gateways: options.gateways,
    onFailure,
  })
  const journalRecords = (): number =>
    engine.stores.reduce((sum, store) => sum + Math.max(0, store.journal.lastPosition - store.checkpointPosition), 0)
  const operations = new HostOperations(gateway, version, journalRecords)
  const api = createHttpApi({ operations, auth, adminKey: options.adminKey, logger, version })
  let adminPort = 0
  let port = 0
  // What the API takes goes into records, of which this incarnation's first must be the first.
  gateway.begin()
  try {
    await api.listen({ port: options.adminPort, host: options.adminHost })
    const address = api.server.address()
    adminPort = typeof address === 'object' && address !== null ? address.port : options.adminPort
    port = await gateway.listen(options.port, options.host)
  } catch (error) {
    await api.close()
    await gateway.stop()
    await engine.close()
    throw error
  }
  logger.info({ port, adminPort, epoch: gateway.host.epoch, shards: options.shards }, 'Posthaste is running')
  const stop = once(async () => {
    await closeApi(api)
    await gateway.stop()
    await engine.close()
    logger.info('Posthaste has stopped')
  })
  engine.failed.then(stop.call).catch(() => {})
  return { port, adminPort, stop: stop.call, stopped: stop.ended }
}

/**
 * A new data directory begins at an epoch of its own: devices that know another server's, which had the same address and is gone, must not take
 * this one for that.
 */
function epochMinOf(engine: Engine, { epochMin }: AllServerOptions): number {
  const isNew = engine.stores.every(({ shard }) => shard.state.meta.epoch === 0)
  return isNew && epochMin === 0 ? randomInt(1, newEpochMax + 1) : epochMin
}

/** A call that is made once, whoever asks for it, and a promise of its end, be it good or bad. */
function once(work: () => Promise<void>): { readonly call: () => Promise<void>; readonly ended: Promise<void> } {
  let done: Promise<void> | undefined
  let end = (): void => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const call = (): Promise<void> => {
    done ??= work().finally(end)
    return done
  }
  return { call, ended }
}

/** Takes no more requests, and answers those under way. One that is still not there by then is cut off: it must not hold up the rest. */
async function closeApi(api: FastifyInstance): Promise<void> {
  const timer = setTimeout(() => api.server.closeAllConnections(), apiCloseMs)
  await api.close()
  clearTimeout(timer)
}
