import { type AdminClient, type Answer, adminClientOf, adminFlags, property, segment } from './admin-client.ts'
import type { Command, CommandContext } from './command.ts'
import { usageError } from './exit-codes.ts'
import { parseChoice, parseName } from './options.ts'
import { columns } from './output.ts'

const verbs = ['create', 'show', 'delete', 'revoke', 'block', 'unblock'] as const

/** `posthaste user`: a user's life, through the HTTP API. */
export const user: Command = {
  name: 'user',
  summary: 'create, show, delete, revoke, block, unblock',
  usage: [
    'user create NAME',
    'user show NAME',
    'user delete NAME',
    'user revoke NAME            (all tokens issued until now)',
    'user block NAME OTHER       (NAME no longer gets what OTHER sends)',
    'user unblock NAME OTHER',
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
  if (nameText === undefined) throw usageError('NAME is missing', `Usage: posthaste user ${verb} NAME`)
  const name = parseName(nameText, 'NAME')
  const needsOther = verb === 'block' || verb === 'unblock'
  if (needsOther && otherText === undefined) throw usageError('OTHER is missing', `Usage: posthaste user ${verb} NAME OTHER`)
  if (more.length > 0 || (!needsOther && otherText !== undefined)) throw usageError(`user ${verb} takes fewer arguments`)
  const other = needsOther ? parseName(otherText ?? '', 'OTHER') : ''
  const { status, value } = await callUser(adminClientOf(flags, io.directory), verb, name, other)
  if (verb === 'show') await output.result(value, tableOf(value))
  else await output.result(value ?? { user: name, done: verb }, textOf(verb, name, other, status))
  return 0
}

function callUser(client: AdminClient, verb: (typeof verbs)[number], name: string, other: string): Promise<Answer> {
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

function textOf(verb: (typeof verbs)[number], name: string, other: string, status: number): string {
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

/** A JSON object as lines of name and value, for people: without the times that are there in words too. */
export function tableOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value)
  const names = Object.keys(value)
  const rows = names
    .filter((name) => !(name.endsWith('Ms') && names.includes(name.slice(0, -2))))
    .map((name) => [name, cellOf(property(value, name))])
  return columns(rows)
}

function cellOf(value: unknown): string {
  if (value === null) return '-'
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
