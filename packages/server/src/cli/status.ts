import { type AdminClient, adminClientOf, adminFlags, property, segment } from './admin-client.ts'
import type { Command, CommandContext } from './command.ts'
import type { FlagSpec } from './flag-spec.ts'
import { usageError } from './exit-codes.ts'
import { parseAddress, parseId, parseName } from './options.ts'
import type { Output } from './output.ts'
import { tableOf } from './listing.ts'

const flags = {
  from: { kind: 'text', placeholder: 'USER', text: 'Who sent the message.' },
  to: { kind: 'text', placeholder: 'ADDRESS', text: 'Who it was sent to: bob, user:bob or group:team.' },
  id: { kind: 'text', placeholder: 'ID', text: 'Its id.' },
  ...adminFlags,
} as const satisfies Record<string, FlagSpec>

/** `posthaste status`: what became of a message, or how the server is, through the HTTP API. */
export const status: Command = {
  name: 'status',
  summary: "a message's status, or the server's health",
  usage: ['status', 'status --from USER --to ADDRESS --id ID'],
  flags,
  details: [
    'Exits with 0 when there is an answer, whatever the status is; without arguments, with 1 when the server is not healthy.',
  ],
  run: runStatus,
}

async function runStatus({ flags: values, words, output, io }: CommandContext): Promise<number> {
  if (words.length > 0) throw usageError(`status takes no '${words[0]}'`, 'Name a message with --from, --to and --id.')
  const client = adminClientOf(values, io.directory)
  const isMessage = ['from', 'to', 'id'].some((name) => values.isTyped(name))
  return isMessage ? printMessage(client, values, output) : printHealth(client, output)
}

async function printMessage(client: AdminClient, values: CommandContext['flags'], output: Output): Promise<number> {
  const from = parseName(values.required('from'), '--from')
  const to = parseAddress(values.required('to'), '--to')
  const id = parseId(values.required('id'), '--id')
  const [kind, name] = 'user' in to ? ['user', to.user] : ['group', to.group]
  const { value } = await client.call('GET', `/messages/${segment(from)}/${kind}/${segment(name ?? '')}/${id}`)
  await output.result(value, tableOf(value))
  return 0
}

async function printHealth(client: AdminClient, output: Output): Promise<number> {
  const { status: httpStatus, value } = await client.call('GET', '/health')
  const isHealthy = httpStatus < 400 && property(value, 'isHealthy') !== false
  await output.result(value, tableOf(value))
  return isHealthy ? 0 : 1
}
