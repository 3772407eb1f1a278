/** Who a token speaks for: verifying and making JWTs, and the file that keeps their secret. */
export { AuthError, type AuthErrorCode } from './auth-error.ts'
export { isKeyFile, loadOrCreateSecret } from './secret-file.ts'
export { clockToleranceSeconds, type TokenCheck, TokenVerifier } from './token-verifier.ts'
