/** Why authentication can't be set up. Stable: callers decide by it, never by the text. */
export type AuthErrorCode = 'auth-misconfigured' | 'secret-unsafe'

/** An error of the set-up: the secrets, keys or secret file that a server was started with. The text says what to do about it. */
export class AuthError extends Error {
  override readonly name = 'AuthError'
  readonly code: AuthErrorCode

  constructor(code: AuthErrorCode, message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}
