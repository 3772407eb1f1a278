import { createPublicKey } from 'node:crypto'
import { describe, expect, it, vi } from 'vitest'
import { TokenVerifier } from '../../src/auth/index.ts'
import type { AuthOptions } from '../../src/options.ts'
import { hmacToken, now, nowMs, type Pair, pairOf, pairToken, secretOf, unsignedToken } from './tokens.ts'

const secret = secretOf(1)
const claims = { sub: 'alice', iat: now - 60 }

function verifierOf(options: Partial<AuthOptions> = {}): Promise<TokenVerifier> {
  return TokenVerifier.create({ secrets: [secret], jwks: undefined, audience: undefined, ...options }, () => nowMs)
}

const jwksOf = (...pairs: readonly Pair[]) => ({ keys: pairs.map(({ jwk }) => jwk) })

async function codeOf(token: string, options: Partial<AuthOptions> = {}): Promise<string> {
  const check = await (await verifierOf(options)).verify(token)
  if (!check.isOk) expect(Buffer.byteLength(check.text)).toBeLessThanOrEqual(256)
  return check.isOk ? check.user : check.code
}

describe('TokenVerifier with a secret', () => {
  it('takes a token and says whose it is, when it was made, and that it never ends', async () => {
    const check = await (await verifierOf()).verify(hmacToken(claims, secret))
    expect(check).toEqual({ isOk: true, user: 'alice', issuedAtMs: nowMs - 60_000, expiresAtMs: 0 })
  })

  it('says when a token ends', async () => {
    const check = await (await verifierOf()).verify(hmacToken({ ...claims, exp: now + 10 }, secret))
    expect(check).toMatchObject({ isOk: true, expiresAtMs: nowMs + 10_000 })
  })

  it('takes tokens of every secret, and signs with the first', async () => {
    const [old, young] = [secretOf(2), secretOf(3)]
    const rotated = { secrets: [young, old] }
    expect(await codeOf(hmacToken(claims, old), rotated)).toBe('alice')
    expect(await codeOf(hmacToken(claims, young), rotated)).toBe('alice')
    expect(await codeOf(hmacToken(claims, secretOf(4)), rotated)).toBe('token-invalid')
    const made = await (await verifierOf(rotated)).makeToken('bob', { ttlSeconds: 60 })
    expect(await codeOf(made, { secrets: [young] })).toBe('bob')
    expect(await codeOf(made, { secrets: [old] })).toBe('token-invalid')
  })

  it('says that an expired token of an older secret has expired, not that it is invalid', async () => {
    expect(await codeOf(hmacToken({ ...claims, exp: now - 60 }, secretOf(2)), { secrets: [secret, secretOf(2)] })).toBe(
      'token-expired',
    )
  })

  it.each([
    ['a signature by another secret', hmacToken(claims, secretOf(9))],
    ['no sub', hmacToken({ iat: now }, secret)],
    ['a sub that is a number', hmacToken({ ...claims, sub: 7 }, secret)],
    ['an empty sub', hmacToken({ ...claims, sub: '' }, secret)],
    ['a sub with a control character', hmacToken({ ...claims, sub: 'a\nb' }, secret)],
    ['a sub with a lone surrogate', hmacToken({ ...claims, sub: '\ud800' }, secret)],
    ['a sub of 129 bytes', hmacToken({ ...claims, sub: 'a'.repeat(129) }, secret)],
    ['no iat', hmacToken({ sub: 'alice' }, secret)],
    ['an iat that is a string', hmacToken({ ...claims, iat: `${now}` }, secret)],
    ['an iat in the future', hmacToken({ ...claims, iat: now + 6 }, secret)],
    ['an iat before the epoch', hmacToken({ ...claims, iat: -1 }, secret)],
    ['an exp that is a string', hmacToken({ ...claims, exp: `${now + 9}` }, secret)],
    ['an exp that is null', hmacToken({ ...claims, exp: null }, secret)],
    ['an exp beyond all numbers', hmacToken({ ...claims, exp: 1e300 }, secret)],
    ['an nbf in the future', hmacToken({ ...claims, nbf: now + 6 }, secret)],
    ['claims that are an array', hmacToken([claims], secret)],
    ["alg 'none'", unsignedToken(claims, { alg: 'none' })],
    ["alg 'NONE' with a signature", hmacToken(claims, secret, { alg: 'NONE' })],
    ["alg 'HS512'", hmacToken(claims, secret, { alg: 'HS512' })],
    ['no alg', hmacToken(claims, secret, {})],
    ['an alg that is a number', hmacToken(claims, secret, { alg: 7 })],
    ['a critical header that is not known', hmacToken(claims, secret, { alg: 'HS256', crit: ['x'], x: 1 })],
    ['an encrypted token', `${hmacToken(claims, secret)}.a.b`],
    ['nothing', ''],
    ['dots', '..'],
    ['a header that is no JSON', 'AAAA.AAAA.AAAA'],
    ['bytes after the signature', `${hmacToken(claims, secret)}A=`],
    ['Unicode', '\u{1f600}.\u{1f600}.\u{1f600}'],
  ])('refuses a token with %s', async (_what, token) => {
    expect(await codeOf(token)).toBe('token-invalid')
  })

  it.each([
    ['exp 6 s ago', { exp: now - 6 }, 'token-expired'],
    ['exp 5 s ago', { exp: now - 5 }, 'token-expired'],
    ['exp 4 s ago', { exp: now - 4 }, 'alice'],
    ['nbf in 5 s', { nbf: now + 5 }, 'alice'],
    ['iat in 5 s', { iat: now + 5 }, 'alice'],
  ])('allows clocks to differ by 5 seconds: %s', async (_what, more, code) => {
    expect(await codeOf(hmacToken({ ...claims, ...more }, secret))).toBe(code)
  })

  it('takes a token of 8,192 bytes and refuses a longer one [I10]', async () => {
    const tokens = Array.from({ length: 64 }, (_, more) => hmacToken({ ...claims, padding: 'x'.repeat(6_000 + more) }, secret))
    expect(await codeOf(tokens.find(({ length }) => length === 8_192) ?? '')).toBe('alice')
    expect(await codeOf(tokens.find(({ length }) => length === 8_193) ?? hmacToken(claims, secret))).toBe('token-invalid')
    expect(await codeOf('x'.repeat(10_000_000))).toBe('token-invalid')
  })

  it.each([
    ['takes', { ...claims, exp: now + 10 }],
    ['refuses one that has expired', { ...claims, exp: now - 10 }],
    ['refuses one without iat', { sub: 'alice' }],
    ['refuses one with nbf in the future', { ...claims, nbf: now + 6 }],
    ['refuses claims that are no object', [claims]],
  ])('%s in the same words, whether it compares the signature itself or leaves that to jose', async (_what, given) => {
    const verifier = await verifierOf()
    const verify = vi.spyOn(crypto.subtle, 'verify')
    const plain = await verifier.verify(hmacToken(given, secret, { alg: 'HS256', typ: 'JWT', kid: 'k' }))
    expect(verify).not.toHaveBeenCalled()
    const other = await verifier.verify(hmacToken(given, secret, { alg: 'HS256', more: 1 }))
    expect(verify).toHaveBeenCalledTimes(1)
    expect(other).toEqual(plain)
    vi.restoreAllMocks()
  })

  it('takes a header for what it is, whatever came with it before', async () => {
    const verifier = await verifierOf()
    for (const bytes of [secret, secretOf(9), secret])
      expect((await verifier.verify(hmacToken(claims, bytes))).isOk).toBe(bytes === secret)
    const [header, payload] = hmacToken(claims, secret).split('.')
    for (const signature of ['', 'AAAA', 'A'.repeat(43), '\u{1f600}'])
      expect((await verifier.verify(`${header}.${payload}.${signature}`)).isOk).toBe(false)
  })

  it('repeats nothing of a token in its text', async () => {
    const token = hmacToken({ ...claims, sub: 'very-secret\u0000' }, secret)
    const check = await (await verifierOf()).verify(token)
    expect(JSON.stringify(check)).not.toContain('very-secret')
  })
})

describe('TokenVerifier with an audience', () => {
  const audience = 'posthaste'

  it.each([
    ['the audience', { aud: audience }, 'alice'],
    ['the audience among others', { aud: ['other', audience] }, 'alice'],
    ['another audience', { aud: 'other' }, 'token-invalid'],
    ['no audience', {}, 'token-invalid'],
  ])('judges a token with %s', async (_what, more, code) => {
    expect(await codeOf(hmacToken({ ...claims, ...more }, secret), { audience })).toBe(code)
  })

  it('makes tokens for it', async () => {
    const token = await (await verifierOf({ audience })).makeToken('alice', { ttlSeconds: 60 })
    expect(await codeOf(token, { audience })).toBe('alice')
    expect(await codeOf(token, { audience: 'other' })).toBe('token-invalid')
  })
})

describe('TokenVerifier with public keys', () => {
  const pairs = (['RS256', 'ES256', 'EdDSA'] as const).map((algorithm) => pairOf(algorithm, `key of ${algorithm}`))

  it.each(pairs)('takes a token signed with $algorithm', async (pair) => {
    const options = { secrets: [], jwks: jwksOf(...pairs) }
    expect(await codeOf(pairToken(claims, pair), options)).toBe('alice')
    expect(await codeOf(pairToken(claims, pair, { alg: pair.algorithm }), options)).toBe('alice')
    expect(await codeOf(pairToken(claims, pair, { alg: pair.algorithm, kid: 'other' }), options)).toBe('token-invalid')
    const token = pairToken(claims, pair)
    expect(await codeOf(token.slice(0, token.lastIndexOf('.') + 1), options)).toBe('token-invalid')
    expect(await codeOf(pairToken(claims, pairOf(pair.algorithm, `key of ${pair.algorithm}`)), options)).toBe('token-invalid')
  })

  it('finds the key of a token without kid among several of one algorithm', async () => {
    const [first, second] = [pairOf('ES256', '1'), pairOf('ES256', '2')]
    const options = { secrets: [], jwks: jwksOf(first, second) }
    expect(await codeOf(pairToken(claims, second, { alg: 'ES256' }), options)).toBe('alice')
    expect(await codeOf(pairToken(claims, second, { alg: 'ES256', kid: '1' }), options)).toBe('token-invalid')
  })

  it.each(pairs)('refuses HS256 with the public key of $algorithm as the secret', async ({ jwk }) => {
    const key = createPublicKey({ key: jwk, format: 'jwk' })
    const spellings = [
      key.export({ format: 'der', type: 'spki' }),
      Buffer.from(key.export({ format: 'pem', type: 'spki' }).toString()),
    ]
    for (const spelling of [...spellings, Buffer.from(JSON.stringify(jwk))]) {
      const token = hmacToken(claims, spelling, { alg: 'HS256', kid: jwk.kid })
      expect(await codeOf(token, { secrets: [], jwks: jwksOf(...pairs) })).toBe('token-invalid')
      expect(await codeOf(token, { jwks: jwksOf(...pairs) })).toBe('token-invalid')
    }
  })

  it('refuses a key that the token itself brings', async () => {
    const own = pairOf('ES256', 'own')
    const token = pairToken(claims, own, { alg: 'ES256', jwk: own.jwk, jku: 'http://127.0.0.1/', kid: 'own' })
    expect(await codeOf(token, { jwks: jwksOf(...pairs) })).toBe('token-invalid')
  })

  it.each(pairs)('refuses a token whose header names an algorithm other than that of the $algorithm key', async (pair) => {
    for (const alg of ['RS256', 'ES256', 'EdDSA', 'PS256', 'ES384', 'none'].filter((name) => name !== pair.algorithm)) {
      expect(await codeOf(pairToken(claims, pair, { alg, kid: pair.jwk.kid }), { jwks: jwksOf(...pairs) })).toBe('token-invalid')
    }
  })

  it('takes tokens of secrets and of keys side by side, and makes none without a secret', async () => {
    const [pair = pairOf('RS256')] = pairs
    expect(await codeOf(pairToken(claims, pair), { jwks: jwksOf(pair) })).toBe('alice')
    expect(await codeOf(hmacToken(claims, secret), { jwks: jwksOf(pair) })).toBe('alice')
    const keysOnly = await verifierOf({ secrets: [], jwks: jwksOf(pair) })
    expect(keysOnly.canMakeTokens).toBe(false)
    await expect(keysOnly.makeToken('alice', { ttlSeconds: 60 })).rejects.toMatchObject({ code: 'auth-misconfigured' })
  })
})

describe('TokenVerifier.create', () => {
  const rsa = pairOf('RS256').jwk
  const weak = { kty: 'RSA', e: 'AQAB', n: Buffer.alloc(128, 0xff).toString('base64url') }

  it.each([
    ['neither secret nor keys', { secrets: [] }],
    ['a secret of 31 bytes', { secrets: [new Uint8Array(31)] }],
    ['a set that is none', { jwks: rsa }],
    ['a set without keys', { jwks: { keys: [] } }],
    ['a key that is no object', { jwks: { keys: ['x'] } }],
    ['a private key', { jwks: { keys: [pairOf('ES256').privateKey.export({ format: 'jwk' })] } }],
    ['a symmetric key', { jwks: { keys: [rsa, { kty: 'oct', k: 'AAAA' }] } }],
    ['a broken key', { jwks: { keys: [{ ...rsa, n: 7 }] } }],
    ['an RSA key of 1,024 bits', { jwks: { keys: [weak] } }],
    ['only a key for encryption', { jwks: { keys: [{ ...rsa, use: 'enc' }] } }],
    ['only a key of another algorithm', { jwks: { keys: [{ ...rsa, alg: 'RS512' }] } }],
    ['65 keys', { jwks: { keys: Array.from({ length: 65 }, () => rsa) } }],
  ])('refuses %s', async (_what, options) => {
    await expect(verifierOf(options)).rejects.toMatchObject({ name: 'AuthError', code: 'auth-misconfigured' })
  })

  it('passes over keys that it has no use for', async () => {
    const pair = pairOf('EdDSA')
    const jwks = { keys: [{ ...rsa, use: 'enc' }, { kty: 'EC', crv: 'P-521' }, { kty: 'new' }, pair.jwk] }
    expect(await codeOf(pairToken(claims, pair), { jwks })).toBe('alice')
  })
})

describe('TokenVerifier.makeToken', () => {
  it('makes a token for as long as asked, exact to the millisecond', async () => {
    const verifier = await verifierOf()
    const token = await verifier.makeToken('bob', { ttlSeconds: 60, issuedAtMs: nowMs - 1 })
    expect(await verifier.verify(token)).toEqual({ isOk: true, user: 'bob', issuedAtMs: nowMs - 1, expiresAtMs: nowMs + 59_999 })
    expect(await verifier.verify(await verifier.makeToken('bob', { ttlSeconds: 0 }))).toMatchObject({ expiresAtMs: 0 })
  })

  it.each([
    ['', 60],
    ['..', 60],
    ['bob', -1],
    ['bob', 1.5],
    ['bob', Number.NaN],
  ])('refuses the user %j for %d seconds', async (user, ttlSeconds) => {
    await expect((await verifierOf()).makeToken(user, { ttlSeconds })).rejects.toThrow(RangeError)
  })
})
