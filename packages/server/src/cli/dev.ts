import { relative } from 'node:path'
import { AdminClient } from './admin-client.ts'
import type { Command, CommandContext } from './command.ts'
import type { FlagSpec } from './flag-spec.ts'
import { usageError } from './exit-codes.ts'
import { dataFlag, type Home, homeOf, makeHome, readKeyFile, secretAt, writeAddresses } from './home.ts'
import { parseChoice, parsePort } from './options.ts'
import type { Output } from './output.ts'
import { runServer } from './server-run.ts'

const logLevels = ['silent', 'error', 'warn', 'info', 'debug'] as const
const people = ['alice', 'bob'] as const
const loopback = '127.0.0.1'

const flags = {
  port: { kind: 'text', placeholder: 'PORT', text: 'Where clients connect; 0 picks a free one.', fallback: '7400' },
  'admin-port': { kind: 'text', placeholder: 'PORT', text: 'The HTTP API; 0 picks a free one.', fallback: '7401' },
  ...dataFlag,
  'log-level': { kind: 'text', placeholder: 'LEVEL', text: `One of ${logLevels.join(', ')}.`, fallback: 'warn' },
} as const satisfies Record<string, FlagSpec>

/** `posthaste dev`: a server on this machine alone, with two demo people, that says what to type next. */
export const dev: Command = {
  name: 'dev',
  summary: 'run a throw-away server on this machine, with two demo people',
  usage: ['dev'],
  flags,
  details: [
    'Listens on 127.0.0.1 alone. What it keeps (messages, secret, admin key) is in the state directory: delete it to start anew.',
  ],
  run: runDev,
}

async function runDev(context: CommandContext): Promise<number> {
  const { flags: values, words, output, io } = context
  if (words.length > 0) throw usageError(`dev takes no '${words[0]}'`)
  const port = values.parsed('port', parsePort) ?? 7400
  const adminPort = values.parsed('admin-port', parsePort) ?? 7401
  const logLevel = values.parsed('log-level', (text, field) => parseChoice(text, field, logLevels)) ?? 'warn'
  const home = homeOf(values, io.directory)
  makeHome(home)
  const secret = secretAt(home.secret)
  secretAt(home.adminKey)
  const adminKey = readKeyFile(home.adminKey, 'admin key')
  const auth = { secrets: [secret], jwks: undefined, audience: undefined }
  const local = { host: loopback, adminHost: loopback, shards: 1, isRestored: false }
  const options = { dataDirectory: home.data, port, adminPort, logLevel, auth, adminKey, ...local }
  return runServer(options, context, async (server) => {
    const adminUrl = `http://${loopback}:${server.adminPort}`
    const addresses = { url: `ws://${loopback}:${server.port}`, adminUrl }
    const client = new AdminClient(adminUrl, () => adminKey)
    for (const name of people) await client.call('POST', '/users', { name })
    writeAddresses(home, addresses)
    await printWelcome(output, home, addresses, dataArguments(home, io.directory))
  })
}

/** The flags that the printed commands need to find this state directory. */
function dataArguments(home: Home, directory: string): string {
  const path = relative(directory, home.path)
  if (path === dataFlag.data.fallback) return ''
  return ` --data ${/^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`}`
}

async function printWelcome(
  output: Output,
  home: Home,
  addresses: { url: string; adminUrl: string },
  data: string,
): Promise<void> {
  const listenLine = `npx posthaste listen --as bob${data}`
  const sendLine = `npx posthaste send --as alice --to bob${data} "hello"`
  if (output.isJson) {
    await output.result({ event: 'listening', ...addresses, data: home.path, people }, '')
    await output.result({ event: 'next', listen: listenLine, send: sendLine }, '')
    return
  }
  const lines = [
    `${output.style('green', 'Posthaste runs.')} Clients: ${addresses.url}   HTTP API: ${addresses.adminUrl}   State: ${home.path}`,
    '',
    'Type in a second terminal, in this directory:',
    '',
    `  ${output.style('bold', listenLine)}`,
    '',
    'and in a third one:',
    '',
    `  ${output.style('bold', sendLine)}`,
    '',
    'Ctrl-C stops the server. `npx posthaste --help` lists what else there is.',
  ]
  await output.write(`${lines.join('\n')}\n`)
}
