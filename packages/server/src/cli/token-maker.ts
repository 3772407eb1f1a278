import { existsSync } from 'node:fs'
import { loadOrCreateSecret, TokenVerifier } from '../auth/index.ts'
import { CliError } from './exit-codes.ts'

/**
 * Signs a token for a user with the secret in a file.
 * @param ttlSeconds how long it is valid
 * @param audience its `aud`, where the server asks for one
 * @throws CliError `secret-unsafe` when the file is not there; AuthError of the same code when it is ill-formed or readable by others
 */
export async function makeToken(secretPath: string, user: string, ttlSeconds: number, audience?: string): Promise<string> {
  if (!existsSync(secretPath)) {
    const hint = 'Start a server here with `posthaste dev`, or name its secret or state directory.'
    throw new CliError('secret-unsafe', `There is no secret in ${secretPath}`, hint)
  }
  const secrets = [loadOrCreateSecret(secretPath)]
  const verifier = await TokenVerifier.create({ secrets, jwks: undefined, audience })
  return verifier.makeToken(user, { ttlSeconds })
}
