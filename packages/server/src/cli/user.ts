import { type AdminClient, type Answer, adminClientOf, adminFlags, property, segment } from './admin-client.ts'
import type { Command, CommandContext } from './command.ts'
import { usageError } from './exit-codes.ts'
import { printList, rolesRow, tableOf } from './listing.ts'
import { parseChoice, parseName } from './options.ts'

const verbs = ['list', 'create', 'show', 'delete', 'revoke', 'block', 'unblock', 'blocks', 'groups'] as const
type Action = Exclude<(typeof verbs)[number], 'list' | 'blocks' | 'groups'>

/** `posthaste user`: a user's life, through the HTTP API. */
export const user: Command = {
  name: 'user',
  summary: 'list, create, show, delete, revoke, block, unblock, blocks, groups',
  usage: [
    'user list',
    'user create NAME',
    'user show NAME',
    'user delete NAME',
    'user revoke NAME            (all tokens issued until now)',
    'user block NAME OTHER       (NAME no longer gets what OTHER sends)',
    'user unblock NAME OTHER',
    'user blocks NAME            (whom NAME has blocked)',
    'user groups NAME            (what NAME is a member of, and its rights there)',
  ],
  flags: adminFlags,
  details: ['`create` of a user that exists finds it. After `delete`, what waits for the user ends as removed.'],
  run: runUser,
}

async function runUser({ flags, words, output, io }: CommandContext): Promise<number> {
  const [verbText, nameText, otherText, ...more] = words
  if (verbText === undefined)
    throw usageError(`What to do is missing: one of ${verbs.join(', ')}`, 'See `posthaste user --help`.')
  const verb = parseChoice(verbText, 'The first argument', verbs)
  const client = adminClientOf(flags, io.directory)
  if (verb === 'list') {
    if (nameText !== undefined) throw usageError('user list takes no arguments')
    await printList(client, '/users', output, userRow)
    return 0
  }
  if (nameText === undefined) throw usageError('NAME is missing', `Usage: posthaste user ${verb} NAME`)
  const name = parseName(nameText, 'NAME')
  const needsOther = verb === 'block' || verb === 'unblock'
  if (needsOther && otherText === undefined) throw usageError('OTHER is missing', `Usage: posthaste user ${verb} NAME OTHER`)
  if (more.length > 0 || (!needsOther && otherText !== undefined)) throw usageError(`user ${verb} takes fewer arguments`)
  const other = needsOther ? parseName(otherText ?? '', 'OTHER') : ''
  if (verb === 'blocks' || verb === 'groups') {
    await printList(client, `/users/${segment(name)}/${verb}`, output, verb === 'groups' ? rolesRow : blockRow)
    return 0
  }
  const { status, value } = await callUser(client, verb, name, other)
  if (verb === 'show') await output.result(value, tableOf(value))
  else await output.result(resultOf(verb, name, other, { status, value }), textOf(verb, name, other, status))
  return 0
}

function callUser(client: AdminClient, verb: Action, name: string, other: string): Promise<Answer> {
  const path = `/users/${segment(name)}`
  switch (verb) {
    case 'create':
      return client.call('POST', '/users', { name })
    case 'show':
      return client.call('GET', path)
    case 'delete':
      return client.call('DELETE', path)
    case 'revoke':
      return client.call('POST', `${path}/revoke`, {})
    case 'block':
      return client.call('PUT', `${path}/blocks/${segment(other)}`)
    case 'unblock':
      return client.call('DELETE', `${path}/blocks/${segment(other)}`)
  }
}

/** What `--json` prints: what the API answers, else what was asked for. */
function resultOf(verb: Action, name: string, other: string, { status, value }: Answer): unknown {
  if (verb === 'create') return { ...Object(value), isNew: status === 201 }
  return value ?? { user: name, done: verb, ...(other === '' ? {} : { other }) }
}

function textOf(verb: Action, name: string, other: string, status: number): string {
  switch (verb) {
    case 'create':
      return status === 201 ? `Created ${name}.` : `${name} exists already.`
    case 'show':
      return name
    case 'delete':
      return `Deleted ${name}.`
    case 'revoke':
      return `Revoked all tokens of ${name} issued until now.`
    case 'block':
      return `${name} has blocked ${other}.`
    case 'unblock':
      return `${name} no longer blocks ${other}.`
  }
}

function userRow(item: unknown): string[] {
  const isOnline = property(item, 'isOnline') === true
  const lastSeen = property(item, 'lastSeen')
  return [
    String(property(item, 'name')),
    isOnline ? 'online' : typeof lastSeen === 'string' ? `last seen ${lastSeen}` : 'never seen',
    `waiting ${property(item, 'waiting')}`,
  ]
}

function blockRow(item: unknown): string[] {
  return [String(property(item, 'user'))]
}
