import { resolve } from 'node:path'
import type { Posthaste } from '@posthaste/client'
import type { Command, CommandContext } from './command.ts'
import type { FlagSpec } from './flag-spec.ts'
import { closeQuietly, deviceFlags, deviceSettings, openDevice, watchConnection } from './device.ts'
import { CliError, describeFailure, exitCodeOf, usageError } from './exit-codes.ts'
import { Listening } from './listening.ts'
import { parseInteger } from './options.ts'
import { execSink, fileSink, lineSink, rawSink, type Sink } from './sinks.ts'

const flags = {
  count: { kind: 'text', placeholder: 'N', text: 'Exit after N messages.' },
  raw: { kind: 'switch', text: 'Print the bare body and a newline; byte by byte into a pipe or a file.' },
  out: { kind: 'text', placeholder: 'DIR', text: 'Write each body to a file in DIR, named by its key, and print its path.' },
  exec: {
    kind: 'text',
    placeholder: 'COMMAND',
    text: 'Run a shell command for each: the body on its input, the rest in POSTHASTE_….',
  },
  read: { kind: 'switch', text: 'Mark each message as read.' },
  ...deviceFlags,
} as const satisfies Record<string, FlagSpec>

/** `posthaste listen`: receives messages, and acknowledges each once it is written. */
export const listen: Command = {
  name: 'listen',
  summary: 'receive messages: print them, write them to files, or run a command for each',
  usage: ['listen', 'listen --out DIR', "listen --exec 'COMMAND'"],
  flags,
  details: [
    'A message is acknowledged once its line is written, its file is flushed, or its command has exited with 0. A command\n' +
      'that fails is run again, after half a second and then twice as long each time, up to a minute; meanwhile other\n' +
      'priorities go on. Nothing is lost. What was written just before this was killed comes again, marked redelivered;\n' +
      'with --out its file replaces itself. After Ctrl-C nothing comes again.',
    '--exec gets POSTHASTE_FROM, _TO, _ID, _KEY, _TYPE, _PRIORITY, _TIME and _REDELIVERED (true or false).',
  ],
  run: runListen,
}

async function runListen(context: CommandContext): Promise<number> {
  const { flags: values, io, output, words } = context
  if (words.length > 0) throw usageError(`listen takes no '${words[0]}'`, 'Say who listens with --as or --token.')
  const countMax = values.parsed('count', (text, field) => parseInteger(text, field, { min: 1, max: 1e15 }))
  const listening = new Listening(sinkOf(context), countMax ?? Number.POSITIVE_INFINITY, (text) => output.note(text))
  const settings = await deviceSettings(values, io.directory, 'listen')
  const device = openDevice(settings, true)
  const { client } = device
  const connection = watchConnection(device, context, settings.url)
  connection.ended.catch((error: unknown) => listening.end(error instanceof CliError ? error : undefined))
  const stopSignals = io.onSignal((signal) => {
    const name = signal === 'SIGINT' ? 'interrupted' : 'terminated'
    if (isStopping) process.exit(exitCodeOf(name).number)
    isStopping = true
    // Without a count there is no other way to end, so this one is in order.
    listening.end(
      countMax === undefined ? undefined : new CliError(name, `Ended after ${listening.written} of ${countMax} messages`),
    )
  })
  let isStopping = false
  const stopReceiving = receiveInto(listening, client, values.isOn('read'))
  if (!output.isJson && io.stdout.isTTY === true) output.note(`Listening as ${settings.user} on ${settings.url}. Ctrl-C ends.`)
  const failure = await listening.ended
  stopSignals()
  await closeQuietly(async () => {
    await stopReceiving()
    await client.close()
  })
  // Not before: what waited for the sink is told to whoever observes errors, or to the console if nobody does.
  connection.stop()
  if (failure !== undefined) throw failure
  return 0
}

function receiveInto(listening: Listening, client: Posthaste, marksRead: boolean): () => Promise<void> {
  let realtime = 0
  client.on('realtime', ({ id, from, to, timeMs, type, priority, body }) => {
    realtime++
    const key = `realtime-${timeMs}-${realtime}`
    listening.takeRealtime({ key, id, from, to, timeMs, type, priority, body, redelivered: false })
  })
  return client.receive(
    async (message) => {
      await listening.take(message)
      if (marksRead) await client.markRead(message)
    },
    { onFailure: (error, _message, attempt) => listening.decide(error, attempt) },
  )
}

function sinkOf({ flags: values, io, output }: CommandContext): Sink {
  const given = ['raw', 'out', 'exec'].filter((name) => values.isTyped(name))
  if (given.length > 1) throw usageError(`--${given.join(' and --')} exclude each other`)
  if (values.isOn('raw') && output.isJson) throw usageError('--raw and --json exclude each other')
  const command = values.text('exec')
  if (command !== undefined) return execSink(command, io.env, output)
  const out = values.text('out')
  if (out !== undefined) return openFileSink(resolve(io.directory, out), output)
  return values.isOn('raw') ? rawSink(output) : lineSink(output)
}

function openFileSink(directory: string, output: CommandContext['output']): Sink {
  try {
    return fileSink(directory, output)
  } catch (error) {
    throw usageError(`--out can't be used: ${describeFailure(error).message}`)
  }
}
