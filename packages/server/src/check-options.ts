import { type LimitName, type LimitSettings, limitRanges } from './limits.ts'
import type { AllServerOptions, AuthOptions, ServerOptions } from './options.ts'

/** An option of `startServer` that is missing, unknown or outside of its range. Its text names it, and what is allowed. */
export class OptionError extends Error {
  override readonly name = 'OptionError'
  readonly code = 'invalid-argument'
  /** The option at fault, such as `port` or `auth.secrets`. */
  readonly field: string

  constructor(field: string, text: string) {
    super(`${field} ${text}`)
    this.field = field
  }
}

const logLevels = ['silent', 'error', 'warn', 'info', 'debug']
const portMax = 65_535
const partsMax = 64
const epochsMin = 2
const epochsMax = 8_191

const defaults = {
  port: 7400,
  adminPort: 7401,
  host: '0.0.0.0',
  adminHost: '127.0.0.1',
  logLevel: 'info',
  shards: 1,
  gateways: 0,
  isRestored: false,
  epochMin: 0,
  limits: {},
} satisfies Partial<AllServerOptions>

/** Fills in the defaults. @throws OptionError for what no server can be started with; what secrets and keys hold is not looked at */
export function allOptions(options: ServerOptions): AllServerOptions {
  record(options, 'options', ['dataDirectory', 'auth', 'adminKey', ...Object.keys(defaults)])
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  const all: AllServerOptions = { ...defaults, ...(given as unknown as ServerOptions as AllServerOptions) }
  for (const name of ['dataDirectory', 'adminKey', 'host', 'adminHost'] as const) text(all[name], name)
  for (const name of ['port', 'adminPort'] as const) number(all[name], name, 0, portMax)
  number(all.shards, 'shards', 1, partsMax)
  number(all.gateways, 'gateways', 0, partsMax)
  if (!logLevels.includes(all.logLevel))
    throw new OptionError('logLevel', `must be one of ${logLevels.join(', ')}, not '${all.logLevel}'`)
  if (typeof all.isRestored !== 'boolean') throw new OptionError('isRestored', 'must be true or false')
  if (all.epochMin !== 0) number(all.epochMin, 'epochMin', epochsMin, epochsMax)
  if (all.epochMin !== 0 && !all.isRestored) throw new OptionError('epochMin', 'is for isRestored: true')
  checkAuth(all.auth)
  return { ...all, limits: checkedLimits(all.limits) }
}

function checkAuth(auth: AuthOptions): void {
  record(auth, 'auth', ['secrets', 'jwks', 'audience'])
  const { secrets = [], audience } = auth
  if (!Array.isArray(secrets) || secrets.some((secret) => !(secret instanceof Uint8Array)))
    throw new OptionError('auth.secrets', 'must be an array of Uint8Array: decode what is base64url')
  if (audience !== undefined) text(audience, 'auth.audience')
}

function checkedLimits(limits: AllServerOptions['limits']): LimitSettings {
  record(limits, 'limits', Object.keys(limitRanges))
  const given = Object.entries(limits).filter(([, value]) => value !== undefined)
  for (const [name, value] of given) {
    const [min, max] = limitRanges[name as LimitName]
    number(value, `limits.${name}`, min, max)
  }
  return Object.fromEntries(given)
}

function record(value: object, field: string, names: readonly string[]): void {
  if (typeof value !== 'object' || value === null) throw new OptionError(field, `must be an object with ${names.join(', ')}`)
  const unknown = Object.keys(value).find((name) => !names.includes(name))
  if (unknown !== undefined) throw new OptionError(field, `has no '${unknown}': ${names.join(', ')} are known`)
}

function text(value: string, field: string): void {
  if (typeof value !== 'string' || value === '') throw new OptionError(field, 'must be a text that is not empty')
}

function number(value: number, field: string, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max)
    throw new OptionError(field, `must be a whole number from ${min} to ${max}, not ${value}`)
}
