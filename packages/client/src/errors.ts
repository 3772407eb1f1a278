import type { Fault } from './machine/events.ts'

/** What a {@link PosthasteError} is made of. */
export interface PosthasteErrorFields {
  /** Stable name of the kind of error, in lower case with hyphens, such as `store-full`. */
  readonly code: string
  /** One sentence for a person, naming what it was about. */
  readonly message: string
  /** Whether the same call may succeed later without a change by the caller. */
  readonly retryable: boolean
  /** Name of the argument or option at fault. */
  readonly field?: string | undefined
  /** URL of a page about this code. */
  readonly help?: string | undefined
  /** The error underneath. */
  readonly cause?: unknown
}

/** The one error that the SDK's public functions throw or reject with. Tell errors apart by `code`, never by `message`. */
export class PosthasteError extends Error {
  override readonly name = 'PosthasteError'
  /** Stable name of the kind of error, in lower case with hyphens, such as `store-full`. */
  readonly code: string
  /** Whether the same call may succeed later without a change by the caller. */
  readonly retryable: boolean
  /** Name of the argument or option at fault, where there is one. */
  readonly field: string | undefined
  /** URL of a page about this code, where there is one. */
  readonly help: string | undefined

  constructor({ code, message, retryable, field, help, cause }: PosthasteErrorFields) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.retryable = retryable
    this.field = field
    this.help = help
  }
}

/** Says where help is, in an error of the SDK that does not say yet. @returns the error */
export function helped(error: unknown, helpUrl: string): unknown {
  if (error instanceof PosthasteError && error.help === undefined) Object.assign(error, { help: `${helpUrl}/${error.code}` })
  return error
}

/** An error as a value. @param other stands for one that is not the SDK's */
export function faultOf(error: unknown, other: Fault): Fault {
  if (!(error instanceof PosthasteError)) return other
  const { code, message, retryable, field } = error
  return { code, message, retryable, field }
}

/** What an error says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
