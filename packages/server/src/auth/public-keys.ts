import { createPublicKey, type KeyObject } from 'node:crypto'
import { AuthError } from './auth-error.ts'

/** The asymmetric algorithms (RFC 7518, RFC 8037) that tokens may be signed with. */
export type PublicAlgorithm = 'RS256' | 'ES256' | 'EdDSA'

/** A public key that verifies tokens of exactly one algorithm. */
export interface PublicKey {
  readonly algorithm: PublicAlgorithm
  /** The `kid` that tokens name it by; `undefined` when it has none. */
  readonly keyId: string | undefined
  readonly key: KeyObject
}

const keysMax = 64
const rsaBitsMin = 2048
/** Members of a JWK that hold private or symmetric key material (RFC 7518, section 6). */
const secretMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv']

/**
 * The keys of a JSON Web Key Set (RFC 7517) that can verify tokens. Keys for encryption and of other algorithms are passed over,
 * since identity providers publish them in the same set.
 *
 * @throws AuthError `auth-misconfigured` when it is no set, holds a secret, a broken or weak key, or no key that can be used
 */
export function importPublicKeys(jwks: unknown): readonly PublicKey[] {
  const members = isObject(jwks) && Array.isArray(jwks.keys) ? jwks.keys : undefined
  if (members === undefined) throw misconfigured('it is not a JSON Web Key Set: an object with an array `keys` is expected')
  if (members.length > keysMax) throw misconfigured(`it has ${members.length} keys, at most ${keysMax} are allowed`)
  const keys = members.map(importKey).filter((key) => key !== undefined)
  if (keys.length === 0) throw misconfigured('it has no public key for RS256, ES256 (P-256) or EdDSA (Ed25519)')
  return keys
}

function importKey(jwk: unknown, index: number): PublicKey | undefined {
  if (!isObject(jwk)) throw misconfigured(`key ${index} is not an object`)
  if (secretMembers.some((member) => member in jwk)) {
    throw misconfigured(`key ${index} holds private or symmetric key material; give public keys only`)
  }
  const algorithm = algorithmOf(jwk)
  if (algorithm === undefined) return undefined
  const key = publicKeyOf(jwk, index)
  const bits = key.asymmetricKeyDetails?.modulusLength
  if (bits !== undefined && bits < rsaBitsMin) {
    throw misconfigured(`key ${index} is an RSA key of ${bits} bits, at least ${rsaBitsMin} are needed`)
  }
  return { algorithm, keyId: typeof jwk.kid === 'string' ? jwk.kid : undefined, key }
}

/** The one algorithm that a key serves: from what the key is, never from what a token says. */
function algorithmOf(jwk: Readonly<Record<string, unknown>>): PublicAlgorithm | undefined {
  if (jwk.use !== undefined && jwk.use !== 'sig') return undefined
  if (Array.isArray(jwk.key_ops) && !jwk.key_ops.includes('verify')) return undefined
  const isFor = (...names: readonly string[]) => jwk.alg === undefined || names.some((name) => name === jwk.alg)
  if (jwk.kty === 'RSA' && isFor('RS256')) return 'RS256'
  if (jwk.kty === 'EC' && jwk.crv === 'P-256' && isFor('ES256')) return 'ES256'
  if (jwk.kty === 'OKP' && jwk.crv === 'Ed25519' && isFor('EdDSA', 'Ed25519')) return 'EdDSA'
  return undefined
}

function publicKeyOf(jwk: Readonly<Record<string, unknown>>, index: number): KeyObject {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' })
  } catch (cause) {
    throw misconfigured(`key ${index} can't be read: ${cause instanceof Error ? cause.message : String(cause)}`, cause)
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function misconfigured(reason: string, cause?: unknown): AuthError {
  return new AuthError('auth-misconfigured', `The set of public keys can't be used: ${reason}.`, cause)
}
