import { resolve } from 'node:path'
import type { Command, CommandContext } from './command.ts'
import type { FlagSpec } from './flag-spec.ts'
import { usageError } from './exit-codes.ts'
import { dataFlag, homeOf, readAddresses } from './home.ts'
import { parseDuration, parseName } from './options.ts'
import { makeToken } from './token-maker.ts'

const flags = {
  ttl: { kind: 'text', placeholder: 'TIME', text: 'How long it is valid, 1s to 365d.', fallback: '1h' },
  'secret-file': {
    kind: 'text',
    placeholder: 'FILE',
    text: 'The secret that signs it; of several the first (default: secret in the state directory).',
    env: 'POSTHASTE_SECRET_FILE',
  },
  audience: {
    kind: 'text',
    placeholder: 'NAME',
    text: 'Its audience (aud) (default: what the server started here asks for).',
    env: 'POSTHASTE_AUDIENCE',
  },
  ...dataFlag,
} as const satisfies Record<string, FlagSpec>

/** `posthaste token`: signs a token with the server's secret, without the server. */
export const token: Command = {
  name: 'token',
  summary: "make a user's token",
  usage: ['token NAME [--ttl 1h]'],
  flags,
  details: ['Prints the token alone, for: POSTHASTE_TOKEN=$(posthaste token bob) posthaste listen'],
  run: runToken,
}

async function runToken({ flags: values, words, output, io }: CommandContext): Promise<number> {
  const [nameText, ...more] = words
  if (nameText === undefined) throw usageError('NAME is missing', 'Usage: posthaste token NAME')
  if (more.length > 0) throw usageError('There is more than one NAME')
  const user = parseName(nameText, 'NAME')
  const ttlSeconds = values.parsed('ttl', (text, field) => parseDuration(text, field, { min: 1, max: 31_536_000 })) ?? 3_600
  const home = homeOf(values, io.directory)
  const file = values.text('secret-file')?.split(',')[0]
  const secretPath = file === undefined ? home.secret : resolve(io.directory, file)
  const expiresAt = new Date(Date.now() + ttlSeconds * 1_000).toISOString()
  const text = await makeToken(secretPath, user, ttlSeconds, values.text('audience') ?? readAddresses(home).audience)
  await output.result({ user, token: text, expiresAt }, text)
  return 0
}
