import type { LimitName, LimitSettings } from './limits.ts'

/** How a server is started: the composition root's only input. The command line and the environment are read elsewhere. */
export interface ServerOptions {
  /** The data directory; created with mode 0700. One server at a time. */
  readonly dataDirectory: string
  /** How tokens are verified and made. */
  readonly auth: AuthOptions
  /** The key that the HTTP API demands as `Authorization: Bearer …`. */
  readonly adminKey: string
  /** The client listener: 7400 by default, 0 picks a free port. */
  readonly port?: number | undefined
  /** The HTTP API's listener: 7401 by default, 0 picks a free port. */
  readonly adminPort?: number | undefined
  /** The address that clients connect to, '0.0.0.0' by default; `dev` listens on 127.0.0.1 only. */
  readonly host?: string | undefined
  /** The address of the HTTP API, '127.0.0.1' by default. */
  readonly adminHost?: string | undefined
  /** 'silent' | 'error' | 'warn' | 'info' | 'debug', 'info' by default: JSON lines on standard output. */
  readonly logLevel?: string | undefined
  /** The number of shards, 1 to 64, 1 by default; fixed when the data directory is made. */
  readonly shards?: number | undefined
  /** How many processes of their own hold the sockets of clients, 0 to 64, 0 by default: the server holds them itself. */
  readonly gateways?: number | undefined
  /** Begin a new epoch: after the data directory was restored from a backup. Not by default. */
  readonly isRestored?: boolean | undefined
  /** With that: of at least this number, 2 to 8191, where the backup was restored before. 0, the default, for none. */
  readonly epochMin?: number | undefined
  /** Limits to set; those that are not named stay as they are in the data directory. */
  readonly limits?: { readonly [name in LimitName]?: number | undefined } | undefined
}

/** The options, with each default where none was given. */
export type AllServerOptions = {
  readonly [name in keyof ServerOptions]-?: name extends 'limits' ? LimitSettings : Exclude<ServerOptions[name], undefined>
}

/** Verification by a shared secret, by public keys, or both. All tokens are JWTs whose `sub` names the user. */
export interface AuthOptions {
  /** HS256 secrets of at least 32 bytes; the first one signs, all verify (for rotation). None by default. */
  readonly secrets?: readonly Uint8Array[] | undefined
  /** A JSON Web Key Set of public keys (RS256, ES256, EdDSA), as parsed JSON; `undefined` for none. */
  readonly jwks?: unknown
  /** The `aud` that a token must carry; `undefined` for any. */
  readonly audience?: string | undefined
}

/** A server that runs. */
export interface RunningServer {
  /** The ports really listened on. */
  readonly port: number
  readonly adminPort: number
  /**
   * Drains, tells clients when to come back, checkpoints and closes. Idempotent.
   * @throws StorageError when its storage had failed, and why
   */
  stop(): Promise<void>
  /** Resolves once it has stopped: by `stop`, or by itself because a checkpoint failed; `stop` says why then. */
  readonly stopped: Promise<void>
}
