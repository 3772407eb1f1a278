import { describe, expect, it } from 'vitest'
import { allOptions, OptionError } from '../src/check-options.ts'
import type { ServerOptions } from '../src/options.ts'
import { startServer } from '../src/server.ts'

const needed = { dataDirectory: 'data', auth: { secrets: [new Uint8Array(32)] }, adminKey: 'key' }
const defaults = {
  ...{ port: 7400, adminPort: 7401, host: '0.0.0.0', adminHost: '127.0.0.1', logLevel: 'info' },
  ...{ shards: 1, gateways: 0, isRestored: false, epochMin: 0, limits: {} },
}

describe('the options of a server', () => {
  it('have the defaults that they name, where nothing or undefined is given', () => {
    const undefineds = Object.fromEntries(Object.keys(defaults).map((name) => [name, undefined]))
    expect(allOptions(needed)).toEqual({ ...defaults, ...needed })
    expect(allOptions({ ...undefineds, ...needed })).toEqual({ ...defaults, ...needed })
  })

  it('are taken as they are given', () => {
    const given: ServerOptions = { ...needed, port: 0, shards: 64, isRestored: true, epochMin: 8_191, logLevel: 'silent' }
    const limits = { bodyBytes: 3, deviceDays: undefined }
    expect(allOptions({ ...given, limits })).toEqual({ ...defaults, ...given, limits: { bodyBytes: 3 } })
  })

  const wrong: [field: string, text: string, options: Record<string, unknown> | undefined][] = [
    ['options', 'an object with dataDirectory, auth', undefined],
    ['options', "has no 'directory'", { ...needed, directory: 'data' }],
    ['dataDirectory', 'not empty', { ...needed, dataDirectory: undefined }],
    ['adminKey', 'not empty', { ...needed, adminKey: '' }],
    ['auth', 'an object with secrets, jwks, audience', { ...needed, auth: undefined }],
    ['auth', "has no 'secret'", { ...needed, auth: { secret: 'x' } }],
    ['auth.secrets', 'an array of Uint8Array', { ...needed, auth: { secrets: ['x'] } }],
    ['auth.secrets', 'an array of Uint8Array', { ...needed, auth: { secrets: new Uint8Array(32) } }],
    ['auth.audience', 'a text', { ...needed, auth: { ...needed.auth, audience: 5 } }],
    ['port', 'from 0 to 65535, not 65536', { ...needed, port: 65_536 }],
    ['adminPort', 'not 1.5', { ...needed, adminPort: 1.5 }],
    ['host', 'a text', { ...needed, host: null }],
    ['logLevel', "one of silent, error, warn, info, debug, not 'loud'", { ...needed, logLevel: 'loud' }],
    ['shards', 'from 1 to 64, not 0', { ...needed, shards: 0 }],
    ['gateways', 'from 0 to 64, not 65', { ...needed, gateways: 65 }],
    ['isRestored', 'true or false', { ...needed, isRestored: 'yes' }],
    ['epochMin', 'from 2 to 8191, not 1', { ...needed, isRestored: true, epochMin: 1 }],
    ['epochMin', 'isRestored: true', { ...needed, epochMin: 2 }],
    ['limits', "has no 'bodyByts': bodyBytes", { ...needed, limits: { bodyByts: 1 } }],
    ['limits.devicesPerUser', 'from 1 to 64, not 65', { ...needed, limits: { devicesPerUser: 65 } }],
  ]
  it.each(wrong)('are refused by name, before anything is made: %s %s', async (field, text, options) => {
    const refused = await startServer(options as never).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(OptionError)
    expect(refused).toMatchObject({ code: 'invalid-argument', field, message: expect.stringContaining(text) })
  })
})
