import { createHmac, generateKeyPairSync, type JsonWebKey, type KeyObject, sign } from 'node:crypto'

/** Tokens forged by hand, so that nothing of what verifies them has made them. */

/** 2026-01-01T00:00:00Z in ms. */
export const nowMs = Date.UTC(2026, 0, 1)
/** The same in seconds. */
export const now = nowMs / 1000

/** A secret of 32 equal bytes. */
export function secretOf(byte: number): Uint8Array {
  return new Uint8Array(32).fill(byte)
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A token with any header and claims, signed with HMAC SHA-256. */
export function hmacToken(claims: unknown, secret: Uint8Array, header: object = { alg: 'HS256' }): string {
  const input = `${part(header)}.${part(claims)}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

/** A token without a signature. */
export function unsignedToken(claims: unknown, header: object): string {
  return `${part(header)}.${part(claims)}.`
}

/** A pair of keys whose public half is a JWK. */
export interface Pair {
  readonly algorithm: 'RS256' | 'ES256' | 'EdDSA'
  readonly jwk: JsonWebKey
  readonly privateKey: KeyObject
}

/** A new pair of keys. */
export function pairOf(algorithm: Pair['algorithm'], keyId?: string): Pair {
  const { privateKey, publicKey } = generate(algorithm)
  const jwk = publicKey.export({ format: 'jwk' })
  return { algorithm, jwk: keyId === undefined ? jwk : { ...jwk, kid: keyId }, privateKey }
}

function generate(algorithm: Pair['algorithm']) {
  if (algorithm === 'RS256') return generateKeyPairSync('rsa', { modulusLength: 2048 })
  if (algorithm === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return generateKeyPairSync('ed25519')
}

/** A token signed with a private key. */
export function pairToken(claims: unknown, pair: Pair, header: object = { alg: pair.algorithm, kid: pair.jwk.kid }): string {
  const input = Buffer.from(`${part(header)}.${part(claims)}`)
  const key = { key: pair.privateKey, dsaEncoding: 'ieee-p1363' } as const
  const signature = sign(pair.algorithm === 'EdDSA' ? null : 'sha256', input, key)
  return `${input.toString()}.${signature.toString('base64url')}`
}
