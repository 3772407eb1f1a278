import { fstatSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { limits } from '@posthaste/protocol'
import type { Command, CommandContext } from './command.ts'
import type { FlagSpec } from './flag-spec.ts'
import { closeQuietly, deviceFlags, deviceSettings, openDevice, watchConnection } from './device.ts'
import { CliError, exitCodeOf, usageError } from './exit-codes.ts'
import type { FlagValues } from './flags.ts'
import { type LineBatch, lineBatches } from './lines.ts'
import {
  formatAddress,
  parseAddress,
  parseChoice,
  parseDuration,
  parseExpiry,
  parseId,
  parsePriority,
  parseType,
} from './options.ts'
import type { Output } from './output.ts'
import { Pacing } from './pacing.ts'
import { RealtimeClient } from './realtime-client.ts'
import { type IdOfMessage, idsFrom, idsOfRun } from './run-ids.ts'
import { SendReport } from './send-report.ts'
import { abortReason, oneMessage, Sending, type SendPlan, type Wait, waits } from './sending.ts'

const flags = {
  to: { kind: 'text', mayBeEmpty: true, placeholder: 'ADDRESS', text: 'Who gets it: bob, user:bob or group:team.' },
  file: { kind: 'text', placeholder: 'FILE', text: "Send a file's bytes as one message." },
  priority: { kind: 'text', placeholder: '0-15', text: '0 is the highest.', fallback: '8' },
  expiry: {
    kind: 'text',
    placeholder: 'TIME',
    text: 'How long it may wait: 60s, 10m, 7d; a bare number is seconds, 0 is --realtime.',
    fallback: '7d',
  },
  type: { kind: 'text', placeholder: 'NUMBER', text: "The app's own type, 0 to 4294967295.", fallback: '0' },
  id: { kind: 'text', placeholder: 'ID', text: 'The id of a single message, 1 to 2^64 - 1 (default: a new one).' },
  run: {
    kind: 'text',
    placeholder: 'NAME',
    text: 'Derive ids from this name, so that the same input can be sent again without doubling.',
  },
  'id-start': { kind: 'text', placeholder: 'ID', text: 'The same, with ids that count up from this one.' },
  wait: { kind: 'text', placeholder: 'STATUS', text: 'Wait until every message is sent, delivered or read.', fallback: 'sent' },
  timeout: { kind: 'text', placeholder: 'TIME', text: 'Stop waiting after this time (default: never).' },
  realtime: { kind: 'switch', text: 'Only to devices that are connected now; never stored, never retried.' },
  receipts: {
    kind: 'switch',
    text: 'Ask for delivered and read receipts: the default, but for lines with --wait sent, of which one in 16 asks.',
  },
  'no-receipts': { kind: 'switch', text: 'Ask for none.' },
  'keep-going': { kind: 'switch', text: 'Go on with the next line after one that failed.' },
  ...deviceFlags,
} as const satisfies Record<string, FlagSpec>

/** `posthaste send`: a text, a file's bytes, or each line of standard input, from a durable outbox. */
export const send: Command = {
  name: 'send',
  summary: 'send a text, a file, or the lines of standard input',
  usage: ['send --to ADDRESS TEXT', 'send --to ADDRESS --file FILE', 'send --to ADDRESS < FILE   (each line is a message)'],
  flags,
  details: [
    'What was written to the outbox and not sent, because this was killed or the server was away, is sent by the next\n' +
      'run with the same store. With --run (or --id-start) the same input can be given again: what the server has\n' +
      'already is found and not sent twice, for as long as the messages may wait and a day more.',
    'Exits with the code of the first message that failed, such as 3 (expired) or 10 (invalid-destination).',
  ],
  run: runSend,
}

/** How long nobody wonders what is waited for. */
const patienceMs = 2_000

interface SendRequest {
  readonly plan: SendPlan
  readonly isRealtime: boolean
  readonly timeoutMs: number | undefined
  readonly isLines: boolean
  readonly batches: AsyncIterable<LineBatch>
}

async function runSend(context: CommandContext): Promise<number> {
  const { io, output } = context
  const request = requestOf(context)
  const settings = await deviceSettings(context.flags, io.directory, 'send')
  const device = openDevice(settings, false)
  const { client } = device
  const ending = new AbortController()
  const stopSignals = io.onSignal((signal) => {
    if (ending.signal.aborted) process.exit(exitCodeOf(signal === 'SIGINT' ? 'interrupted' : 'terminated').number)
    ending.abort(new CliError(signal === 'SIGINT' ? 'interrupted' : 'terminated', `Interrupted. ${whatIsLeft(request)}`))
  })
  const timer = request.timeoutMs === undefined ? undefined : setTimeout(() => ending.abort(timedOut(request)), request.timeoutMs)
  ending.signal.addEventListener('abort', () => io.stdin.destroy())
  const connection = watchConnection(device, context, settings.url)
  connection.ended.catch((error: unknown) => ending.abort(error))
  const report = new SendReport(output, request.plan, request.isLines, (error) => ending.abort(error))
  const stopPatience = tellOfWaiting(request, output, () => client.connection.state.status === 'live')
  const sender = request.isRealtime ? new RealtimeClient(client, ending.signal) : client
  const sending = new Sending(sender, request.plan, ending.signal, report)
  try {
    await sending.run(request.batches)
    return report.finish()
  } catch (error) {
    report.leave(sending.left)
    report.finish()
    throw ending.signal.aborted ? abortReason(ending.signal) : error
  } finally {
    clearTimeout(timer)
    stopPatience()
    stopSignals()
    connection.stop()
    await closeQuietly(() => client.close())
  }
}

/** Says what is waited for, when that takes long and it is not the connection. @returns what ends it */
function tellOfWaiting({ plan, isRealtime }: SendRequest, output: Output, isConnected: () => boolean): () => void {
  if (plan.wait === 'sent' || isRealtime) return () => {}
  const done = plan.wait === 'read' ? 'read' : 'received'
  const timer = setInterval(() => {
    if (!isConnected()) return
    clearInterval(timer)
    output.note(`Waiting until ${formatAddress(plan.draft.to)} has ${done} it. Ctrl-C ends the waiting; what is sent stays sent.`)
  }, patienceMs)
  return () => clearInterval(timer)
}

function requestOf({ flags: values, words, io, output }: CommandContext): SendRequest {
  const [text, ...more] = words
  if (more.length > 0) throw usageError('There is more than one TEXT', 'Put quotes around a text with spaces.')
  const file = values.text('file')
  if (text !== undefined && file !== undefined) throw usageError('TEXT and --file exclude each other')
  const isLines = text === undefined && file === undefined
  const { isRealtime, plan } = planOf(values, isLines)
  const timeoutSeconds = values.parsed('timeout', (value, field) => parseDuration(value, field, { min: 1, max: 604_800 }))
  const rest = { plan, isRealtime, isLines, timeoutMs: timeoutSeconds === undefined ? undefined : timeoutSeconds * 1_000 }
  if (text !== undefined) return { ...rest, batches: oneMessage(Buffer.from(text, 'utf8')) }
  if (file !== undefined) return { ...rest, batches: oneMessage(readBody(resolve(io.directory, file))) }
  if (io.stdin.fd !== undefined && fstatSync(io.stdin.fd).isDirectory())
    throw usageError('Standard input is a directory', 'Name a file: send --to ADDRESS < FILE.')
  if (io.stdin.isTTY === true) output.note('Type messages, a line each. Ctrl-D ends.')
  const batchLines = isRealtime ? 1 : 256
  return { ...rest, batches: lineBatches(io.stdin, { lineBytesMax: limits.bodyBytes, batchLines, batchBytes: 1_048_576 }) }
}

function planOf(values: FlagValues, isLines: boolean): { plan: SendPlan; isRealtime: boolean } {
  const to = parseAddress(values.required('to'), '--to')
  const expirySeconds = values.parsed('expiry', parseExpiry) ?? 0
  const isRealtime = values.isOn('realtime') || expirySeconds === 0
  if (isRealtime && expirySeconds !== 0 && values.isTyped('expiry'))
    throw usageError('--realtime and --expiry exclude each other')
  const wait: Wait = values.parsed('wait', (text, field) => parseChoice(text, field, waits)) ?? 'sent'
  // Lines that are only to be sent can be many: they leave the outbox at once where they ask for no receipts.
  const receipts = !values.isOn('no-receipts') && (values.isOn('receipts') || wait !== 'sent' || !isLines)
  if (values.isOn('receipts') && values.isOn('no-receipts')) throw usageError('--receipts and --no-receipts exclude each other')
  if (!receipts && wait !== 'sent') throw usageError(`--wait ${wait} needs receipts, which --no-receipts asks not to get`)
  if (isRealtime && wait === 'read')
    throw usageError('--wait is read, of a real-time message only sent or delivered can be known')
  const draft = {
    to,
    type: values.parsed('type', parseType) ?? 0,
    priority: values.parsed('priority', parsePriority) ?? 8,
    expirySeconds: isRealtime ? 0 : expirySeconds,
    receipts,
  }
  // What is sent in real time is delivered or nothing.
  const isPaced = isLines && !isRealtime && !values.isOn('no-receipts')
  const plan = {
    draft,
    idOf: idsOf(values, isLines),
    wait: isRealtime ? 'delivered' : wait,
    keepsGoing: values.isOn('keep-going'),
    pacing: isPaced ? new Pacing(to) : undefined,
  }
  return { plan, isRealtime }
}

function idsOf(values: FlagValues, isLines: boolean): IdOfMessage {
  const given = ['id', 'run', 'id-start'].filter((name) => values.isTyped(name))
  if (given.length > 1) throw usageError(`--${given.join(' and --')} exclude each other`)
  const id = values.parsed('id', parseId)
  const run = values.text('run')
  const start = values.parsed('id-start', parseId)
  if (id !== undefined && isLines) throw usageError('--id is for a single message', 'For lines use --id-start or --run.')
  if (run === '') throw usageError('--run is empty, a name is allowed')
  if (run !== undefined) return idsOfRun(run)
  const first = id ?? start
  return first === undefined ? () => undefined : idsFrom(first)
}

function readBody(path: string): Uint8Array {
  try {
    return readFileSync(path)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new CliError('usage', `--file can't be read: ${reason}`, undefined, error)
  }
}

function timedOut(request: SendRequest): CliError {
  return new CliError('timed-out', `Not everything was answered in the time given. ${whatIsLeft(request)}`)
}

/** What becomes of messages that are still open when the waiting is ended. */
function whatIsLeft({ isRealtime }: SendRequest): string {
  return isRealtime
    ? 'In real time nothing is kept: the next run sends none of it.'
    : 'What is in the outbox goes out with the next run.'
}
