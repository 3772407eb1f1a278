import { type AdminClient, type Answer, adminClientOf, adminFlags, property, segment } from './admin-client.ts'
import type { Command, CommandContext } from './command.ts'
import type { FlagSpec } from './flag-spec.ts'
import { CliError, describeFailure, usageError } from './exit-codes.ts'
import { printList, rolesRow, tableOf } from './listing.ts'
import { parseChoice, parseName, parseRoles } from './options.ts'
import { printable } from './printable.ts'

const verbs = ['list', 'create', 'show', 'delete', 'add', 'remove', 'members'] as const
type Action = Exclude<(typeof verbs)[number], 'list' | 'members'>

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
  summary: 'list, create, show, delete, add, remove, members',
  usage: [
    'group list',
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
  if (values.isTyped('roles') && verb !== 'add') throw usageError(`--roles is for group add, not for group ${verb}`)
  const client = adminClientOf(values, io.directory)
  if (verb === 'list') {
    if (nameText !== undefined) throw usageError('group list takes no arguments')
    await printList(client, '/groups', output, groupRow)
    return 0
  }
  if (nameText === undefined) throw usageError('NAME is missing', `Usage: posthaste group ${verb} NAME`)
  const name = parseName(nameText, 'NAME')
  const needsUser = verb === 'add' || verb === 'remove'
  if (needsUser && userText === undefined) throw usageError('USER is missing', `Usage: posthaste group ${verb} NAME USER`)
  if (more.length > 0 || (!needsUser && userText !== undefined)) throw usageError(`group ${verb} takes fewer arguments`)
  const user = needsUser ? parseName(userText ?? '', 'USER') : ''
  const roles = values.parsed('roles', parseRoles) ?? []
  if (verb === 'members') {
    await printList(client, `/groups/${segment(name)}/members`, output, rolesRow)
    return 0
  }
  const { value } = await callGroup(client, verb, name, user, roles).catch((error: unknown) => {
    if (describeFailure(error).code !== 'invalid-destination') throw error
    throw new CliError('not-found', `There is no user '${printable(user)}'.`, undefined, error)
  })
  const member = { ...(user === '' ? {} : { user }), ...(verb === 'add' ? { roles } : {}) }
  await output.result(
    value ?? { group: name, done: verb, ...member },
    verb === 'show' ? tableOf(value) : textOf(verb, name, user, roles),
  )
  return 0
}

function callGroup(client: AdminClient, verb: Action, name: string, user: string, roles: readonly string[]): Promise<Answer> {
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

function groupRow(item: unknown): string[] {
  return [String(property(item, 'name')), `members ${property(item, 'members')}`]
}

function textOf(verb: Action, name: string, user: string, roles: readonly string[]): string {
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
