import type { TokenVerifier } from '../auth/index.ts'
import type { Operations } from '../operations.ts'
import type { ProblemCode } from './help.ts'
import type { Answer } from './problem.ts'

/** A JSON Schema (the part of it that OpenAPI 3.1, Ajv and fast-json-stringify share). */
export type JsonSchema = Readonly<Record<string, unknown>>

/** An object schema's members. */
export type Members = Readonly<Record<string, JsonSchema>>

/** What the routes work on. */
export interface Services {
  readonly operations: Operations
  readonly auth: TokenVerifier
  /** The version of the server. */
  readonly version: string
  /** The clock, in ms since the epoch. */
  readonly now: () => number
}

/** A request whose parts have the shapes that the route's schemas demand. */
export interface Call<Params extends string = string, Body = unknown, Query = unknown> {
  readonly params: Readonly<Record<Params, string>>
  readonly body: Body
  readonly query: Query
  /** The `Accept` header, '' when there is none. */
  readonly accept: string
}

/** A route: what it takes and gives, which checks it, documents it and writes its answer. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** With parameters as `:name`. */
  readonly path: string
  /** One line for the reader of the OpenAPI document. */
  readonly summary: string
  readonly description?: string
  /** Unique, for generated clients. */
  readonly operation: string
  /** Whether it needs no admin key. */
  readonly isPublic?: boolean
  readonly params?: Members
  readonly query?: Members
  readonly body?: JsonSchema
  /** The answers of success, by status; `undefined` for one without a body. */
  readonly answers: Readonly<
    Record<number, { readonly description: string; readonly schema?: JsonSchema; readonly hasHtml?: boolean }>
  >
  /** The codes of problems, besides those that any route may answer with. */
  readonly problems: readonly ProblemCode[]
  /** Judges and does it. A method, so that a handler may name the exact shapes of its schemas. */
  handle(call: Call): Answer | Promise<Answer>
}
