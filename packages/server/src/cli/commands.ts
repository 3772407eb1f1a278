import type { Command } from './command.ts'

interface CommandEntry {
  readonly name: string
  readonly summary: string
  /** Loads the command; only the one that runs is loaded. */
  load(): Promise<Command>
}

/** All commands, in the order in which `posthaste --help` lists them. */
export const commands: readonly CommandEntry[] = [
  {
    name: 'dev',
    summary: 'run a throw-away server on this machine, with two demo people',
    load: async () => (await import('./dev.ts')).dev,
  },
  { name: 'serve', summary: 'run a server', load: async () => (await import('./serve.ts')).serve },
  { name: 'token', summary: "make a user's token", load: async () => (await import('./token.ts')).token },
  {
    name: 'send',
    summary: 'send a text, a file, or the lines of standard input',
    load: async () => (await import('./send.ts')).send,
  },
  {
    name: 'listen',
    summary: 'receive messages: print them, write them to files, or run a command for each',
    load: async () => (await import('./listen.ts')).listen,
  },
  {
    name: 'user',
    summary: 'list, create, show, delete, revoke, block, unblock, blocks, groups',
    load: async () => (await import('./user.ts')).user,
  },
  {
    name: 'group',
    summary: 'list, create, show, delete, add, remove, members',
    load: async () => (await import('./group.ts')).group,
  },
  {
    name: 'status',
    summary: "a message's status, or the server's health",
    load: async () => (await import('./status.ts')).status,
  },
]
