/** What a token says. */
export interface TokenClaims {
  readonly user: string
  readonly issuedAtMs: number
  /** 0: never. */
  readonly expiresAtMs: number
}

/** A token of the simulator: its claims in the clear. */
export function writeToken({ user, issuedAtMs, expiresAtMs }: TokenClaims): string {
  return `${user}|${issuedAtMs}|${expiresAtMs}`
}

/** What a token says; `undefined` when it is none. */
export function readToken(token: string): TokenClaims | undefined {
  const [user, issuedAtMs, expiresAtMs] = token.split('|')
  if (user === undefined || issuedAtMs === undefined || expiresAtMs === undefined) return undefined
  return { user, issuedAtMs: Number(issuedAtMs), expiresAtMs: Number(expiresAtMs) }
}
