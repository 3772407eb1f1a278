import { type AdminClient, type Answer, adminClientOf, adminFlags, property, segment } from './admin-client.ts'
import type { Command, CommandContext } from './command.ts'
import type { FlagSpec } from './flag-spec.ts'
import { CliError, describeFailure, usageError } from './exit-codes.ts'
import { parseChoice, parseName, parseRoles } from './options.ts'
import { printable } from './printable.ts'
import { columns, type Output } from './output.ts'
import { tableOf } from './user.ts'

const verbs = ['create', 'show', 'delete', 'add', 'remove', 'members'] as const
type Verb = (typeof verbs)[number]

const pageItems = 256

const flags = {
  roles: {
    kind: 'text',
    placeholder: 'LIST',
    text: "A member's rights: some of send, receive and admin.",
    fallback: 'send,receive',
  },
  ...adminFlags,
} as const satisfies Record<string, FlagSpec>

/** `posthaste group`: a group's life and its members, through the HTTP API. */
export const group: Command = {
  name: 'group',
  summary: 'create, show, delete, add, remove, members',
  usage: [
    'group create NAME',
    'group show NAME',
    'group delete NAME',
    'group add NAME USER [--roles send,receive,admin]',
    'group remove NAME USER',
    'group members NAME',
  ],
  flags,
  details: ['`add` of a member sets its rights anew. Members read what is sent from their joining to their leaving.'],
  run: runGroup,
}

async function runGroup({ flags: values, words, output, io }: CommandContext): Promise<number> {
  const [verbText, nameText, userText, ...more] = words
  if (verbText === undefined)
    throw usageError(`What to do is missing: one of ${verbs.join(', ')}`, 'See `posthaste group --help`.')
  const verb = parseChoice(verbText, 'The first argument', verbs)
  if (nameText === undefined) throw usageError('NAME is missing', `Usage: posthaste group ${verb} NAME`)
  const name = parseName(nameText, 'NAME')
  const needsUser = verb === 'add' || verb === 'remove'
  if (needsUser && userText === undefined) throw usageError('USER is missing', `Usage: posthaste group ${verb} NAME USER`)
  if (more.length > 0 || (!needsUser && userText !== undefined)) throw usageError(`group ${verb} takes fewer arguments`)
  if (values.isTyped('roles') && verb !== 'add') throw usageError(`--roles is for group add, not for group ${verb}`)
  const user = needsUser ? parseName(userText ?? '', 'USER') : ''
  const roles = values.parsed('roles', parseRoles) ?? []
  const client = adminClientOf(values, io.directory)
  if (verb === 'members') return printMembers(client, name, output)
  const { value } = await callGroup(client, verb, name, user, roles).catch((error: unknown) => {
    if (describeFailure(error).code !== 'invalid-destination') throw error
    throw new CliError('not-found', `There is no user '${printable(user)}'.`, undefined, error)
  })
  await output.result(value ?? { group: name, done: verb }, verb === 'show' ? tableOf(value) : textOf(verb, name, user, roles))
  return 0
}

function callGroup(
  client: AdminClient,
  verb: Exclude<Verb, 'members'>,
  name: string,
  user: string,
  roles: readonly string[],
): Promise<Answer> {
  const path = `/groups/${segment(name)}`
  switch (verb) {
    case 'create':
      return client.call('POST', '/groups', { name })
    case 'show':
      return client.call('GET', path)
    case 'delete':
      return client.call('DELETE', path)
    case 'add':
      return client.call('PUT', `${path}/members/${segment(user)}`, { roles })
    case 'remove':
      return client.call('DELETE', `${path}/members/${segment(user)}`)
  }
}

/** All members, page by page: one a line. */
async function printMembers(client: AdminClient, name: string, output: Output): Promise<number> {
  for (let after = ''; ; ) {
    const query = new URLSearchParams({ limit: String(pageItems), ...(after === '' ? {} : { after }) })
    const { value } = await client.call('GET', `/groups/${segment(name)}/members?${query}`)
    const items = property(value, 'items')
    const members = Array.isArray(items) ? items : []
    if (output.isJson) for (const member of members) await output.result(member, '')
    else if (members.length > 0) await output.write(`${columns(members.map(rowOf))}\n`)
    const next = property(value, 'next')
    if (typeof next !== 'string' || next === '') return 0
    after = next
  }
}

function rowOf(member: unknown): string[] {
  const roles = property(member, 'roles')
  return [String(property(member, 'user')), Array.isArray(roles) ? roles.join(',') : String(roles)]
}

function textOf(verb: Exclude<Verb, 'members'>, name: string, user: string, roles: readonly string[]): string {
  switch (verb) {
    case 'create':
      return `Created the group ${name}.`
    case 'show':
      return name
    case 'delete':
      return `Deleted the group ${name}.`
    case 'add':
      return `${user} may ${roles.join(', ')} in ${name}.`
    case 'remove':
      return `${user} is no member of ${name} any more.`
  }
}
