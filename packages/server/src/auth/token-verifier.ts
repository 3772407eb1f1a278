import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import { addressFault, limits } from '@posthaste/protocol'
import {
  type CryptoKey,
  decodeProtectedHeader,
  errors,
  type JWTClaimVerificationOptions,
  type JWTPayload,
  jwtVerify,
  SignJWT,
  UnsecuredJWT,
} from 'jose'
import type { AuthOptions } from '../options.ts'
import { AuthError } from './auth-error.ts'
import { importPublicKeys, type PublicKey } from './public-keys.ts'

/** How far the clocks of whoever makes tokens and of the server may differ. */
export const clockToleranceSeconds = 5

const secretBytesMin = 32

/** What a header may hold for its token's signature to be compared here. */
const plainHeaderMembers: readonly string[] = ['alg', 'typ', 'kid']
const unsecuredHeader = Buffer.from('{"alg":"none"}').toString('base64url')

/** What a token turned out to be. The text of a refusal is for people, at most 256 bytes, and repeats nothing of the token. */
export type TokenCheck =
  | {
      readonly isOk: true
      /** The user that the token speaks for: a valid address. */
      readonly user: string
      /** When it was made, in ms since the epoch; compared with the user's valid-after. */
      readonly issuedAtMs: number
      /** When it ends, in ms since the epoch; 0 for never. It may lie up to the clock tolerance in the past. */
      readonly expiresAtMs: number
    }
  | { readonly isOk: false; readonly code: 'token-invalid' | 'token-expired'; readonly text: string }

/** A key and the one algorithm that it is for. */
type VerifyingKey = PublicKey | { readonly algorithm: 'HS256'; readonly keyId: undefined; readonly key: CryptoKey }

/**
 * Verifies and makes the JWTs (RFC 7519) that users connect with. Secrets verify HS256 and nothing else, and a public key verifies only the
 * algorithm that it is made for: what the token's header says selects among the keys, and never how a key is used (RFC 8725, section 3.1).
 */
export class TokenVerifier {
  readonly #signingKey: CryptoKey | undefined
  readonly #keys: readonly VerifyingKey[]
  readonly #secrets: readonly KeyObject[]
  /** The header that was found plain last: most often all tokens have the same. */
  #plainHeader = ''
  readonly #audience: string | undefined
  readonly #now: () => number

  private constructor(
    secrets: readonly CryptoKey[],
    secretObjects: readonly KeyObject[],
    publicKeys: readonly PublicKey[],
    audience: string | undefined,
    now: () => number,
  ) {
    this.#signingKey = secrets[0]
    this.#keys = [...secrets.map((key) => ({ algorithm: 'HS256', keyId: undefined, key }) as const), ...publicKeys]
    this.#secrets = secretObjects
    this.#audience = audience
    this.#now = now
  }

  /**
   * Imports the secrets and keys, once.
   * @param now the clock, in ms since the epoch
   * @throws AuthError `auth-misconfigured` when there is neither a secret nor a key, or one of them is weak or broken
   */
  static async create(options: AuthOptions, now: () => number = Date.now): Promise<TokenVerifier> {
    const given = options.secrets ?? []
    for (const [index, { byteLength }] of given.entries()) {
      if (byteLength >= secretBytesMin) continue
      throw new AuthError('auth-misconfigured', `Secret ${index} has ${byteLength} bytes, at least ${secretBytesMin} are needed.`)
    }
    const publicKeys = options.jwks === undefined ? [] : importPublicKeys(options.jwks)
    if (given.length + publicKeys.length === 0) {
      throw new AuthError('auth-misconfigured', 'No token could be verified: give a secret or a set of public keys.')
    }
    const secrets = await Promise.all(given.map(importSecret))
    const secretObjects = given.map((secret) => createSecretKey(Uint8Array.from(secret)))
    return new TokenVerifier(secrets, secretObjects, publicKeys, options.audience, now)
  }

  /** Whether {@link makeToken} can sign: there is a secret. */
  get canMakeTokens(): boolean {
    return this.#signingKey !== undefined
  }

  /** What a token says and whether it may be believed. Never rejects. Whether it was revoked is not known here: compare `issuedAtMs`. */
  async verify(token: string): Promise<TokenCheck> {
    if (token.length > limits.tokenBytes) return invalid(`it is longer than ${limits.tokenBytes} bytes`)
    try {
      const claims = this.#signedClaims(token)
      if (claims !== undefined) return this.#check(claims)
      let last: TokenCheck = invalid('it is signed with a key or an algorithm that is not known here')
      for (const key of this.#candidates(token)) {
        try {
          return this.#check(await this.#claims(token, key))
        } catch (error) {
          if (!(error instanceof errors.JWSSignatureVerificationFailed)) return refusalOf(error)
          last = invalid('its signature is wrong')
        }
      }
      return last
    } catch (error) {
      return refusalOf(error)
    }
  }

  /**
   * Makes a token for a user, signed with the first secret.
   * @param options.ttlSeconds how long it is valid, at least 1; 0 for ever
   * @param options.issuedAtMs when it is valid from, in ms since the epoch; now by default
   * @throws AuthError `auth-misconfigured` when there is no secret
   * @throws RangeError when the name is no address or the time is no whole number of seconds
   */
  async makeToken(user: string, options: { readonly ttlSeconds: number; readonly issuedAtMs?: number }): Promise<string> {
    const signingKey = this.#signingKey
    if (signingKey === undefined)
      throw new AuthError('auth-misconfigured', 'Tokens are verified by public keys; there is no secret to sign one.')
    const fault = addressFault(user)
    if (fault !== undefined) throw new RangeError(`No token can be made for this user: ${fault}`)
    const { ttlSeconds, issuedAtMs = this.#now() } = options
    if (!Number.isSafeInteger(ttlSeconds) || ttlSeconds < 0)
      throw new RangeError('A token is valid for a whole number of seconds')
    // A fraction (RFC 7519 allows it) tells a token made after a revocation from one made before it in the same second.
    const iat = issuedAtMs / 1000
    const claims: JWTPayload = { sub: user, iat }
    if (ttlSeconds > 0) claims.exp = iat + ttlSeconds
    if (this.#audience !== undefined) claims.aud = this.#audience
    return new SignJWT(claims).setProtectedHeader({ alg: 'HS256', typ: 'JWT' }).sign(signingKey)
  }

  /**
   * The claims of a token that one of the secrets has signed, without a wait: a crowd that comes back at once brings thousands of
   * them, and WebCrypto takes 60 µs of the event loop for each, ten times as much as this. Only what is signed as it should be ends
   * here; the rest, and so each refusal of a signature, is left to jose, which judges the claims in any case.
   * @throws JOSEError when the claims are to be refused
   */
  #signedClaims(token: string): JWTPayload | undefined {
    const [header = '', payload = '', signature = '', ...rest] = token.split('.')
    if (rest.length > 0 || signature === '' || !this.#isPlain(header, token)) return undefined
    const given = Buffer.from(signature)
    const isSigned = this.#secrets.some((secret) => {
      const expected = Buffer.from(createHmac('sha256', secret).update(`${header}.${payload}`).digest('base64url'))
      return expected.length === given.length && timingSafeEqual(expected, given)
    })
    // What the name says of a token without a signature is true of what is left of this one, whose signature was compared.
    return isSigned ? UnsecuredJWT.decode(`${unsecuredHeader}.${payload}.`, this.#claimOptions()).payload : undefined
  }

  /** Whether a token's header is for the secrets, and says nothing that jose would have to judge. */
  #isPlain(header: string, token: string): boolean {
    if (header === this.#plainHeader) return header !== ''
    const parsed = decodeProtectedHeader(token)
    const isPlain = parsed.alg === 'HS256' && Object.keys(parsed).every((member) => plainHeaderMembers.includes(member))
    if (isPlain) this.#plainHeader = header
    return isPlain
  }

  #claimOptions(): JWTClaimVerificationOptions {
    return {
      clockTolerance: clockToleranceSeconds,
      currentDate: new Date(this.#now()),
      requiredClaims: ['sub', 'iat'],
      ...(this.#audience === undefined ? {} : { audience: this.#audience }),
    }
  }

  /** The keys that may have signed a token with this header. A key without a `kid` fits every token of its algorithm. */
  #candidates(token: string): readonly VerifyingKey[] {
    const { alg, kid } = decodeProtectedHeader(token)
    return this.#keys.filter(
      ({ algorithm, keyId }) => algorithm === alg && (kid === undefined || keyId === undefined || kid === keyId),
    )
  }

  /** The claims of a token that this key has signed. */
  async #claims(token: string, { key, algorithm }: VerifyingKey): Promise<JWTPayload> {
    const { payload } = await jwtVerify(token, key, { algorithms: [algorithm], ...this.#claimOptions() })
    return payload
  }

  #check({ sub, iat, exp }: JWTPayload): TokenCheck {
    if (typeof sub !== 'string') return invalid('its sub is not a string')
    const fault = addressFault(sub)
    if (fault !== undefined) return invalid(`its sub is no address: ${fault}`)
    const issuedAtMs = Math.round((iat ?? 0) * 1000)
    // A token from the future would outlive every revocation until then.
    if (issuedAtMs > this.#now() + clockToleranceSeconds * 1000) return invalid('its iat lies in the future')
    const expiresAtMs = exp === undefined ? 0 : Math.round(exp * 1000)
    if (!isTime(issuedAtMs) || !isTime(expiresAtMs)) return invalid('its iat or exp is no time in seconds')
    return { isOk: true, user: sub, issuedAtMs, expiresAtMs }
  }
}

function importSecret(secret: Uint8Array): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', Uint8Array.from(secret), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify'])
}

function isTime(timeMs: number): boolean {
  return Number.isSafeInteger(timeMs) && timeMs >= 0
}

function refusalOf(error: unknown): TokenCheck {
  if (error instanceof errors.JWTExpired) return { isOk: false, code: 'token-expired', text: 'The token has expired.' }
  if (error instanceof errors.JWTClaimValidationFailed) {
    // The claim's name is one of those asked for above, so nothing of the token is repeated.
    return invalid(error.reason === 'missing' ? `it has no ${error.claim}` : `its ${error.claim} is wrong`)
  }
  return invalid('it is not a signed JWT')
}

function invalid(reason: string): TokenCheck {
  return { isOk: false, code: 'token-invalid', text: `The token is not valid: ${reason}.` }
}
