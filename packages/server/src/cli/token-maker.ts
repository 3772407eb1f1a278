import { accessSync, constants } from 'node:fs'
import { loadOrCreateSecret, TokenVerifier } from '../auth/index.ts'
import { unreadable } from './home.ts'

/**
 * Signs a token for a user with the secret in a file.
 * @param ttlSeconds how long it is valid
 * @param audience its `aud`, where the server asks for one
 * @throws CliError `secret-unsafe` when the file is not there; AuthError of the same code when it is ill-formed or readable by others
 */
export async function makeToken(secretPath: string, user: string, ttlSeconds: number, audience?: string): Promise<string> {
  try {
    // Not to be made here: who may sign is who has the server's.
    accessSync(secretPath, constants.R_OK)
  } catch (error) {
    throw unreadable(secretPath, 'secret', error)
  }
  const secrets = [loadOrCreateSecret(secretPath)]
  const verifier = await TokenVerifier.create({ secrets, jwks: undefined, audience })
  return verifier.makeToken(user, { ttlSeconds })
}
