import { type DestinationStream, type Logger, pino, stdSerializers } from 'pino'
import { LogOutput } from './log-output.ts'

/** How a logger is made. */
export interface LoggingOptions {
  /** 'silent' | 'error' | 'warn' | 'info' | 'debug' */
  readonly level: string
  /** Texts that never appear in a line, such as the admin key and the secrets as they are written in their files. */
  readonly hidden?: readonly string[]
  /** Where the lines go; standard output by default. */
  readonly destination?: DestinationStream
}

export type { Logger } from 'pino'

/** Members that are never written, whatever they hold. */
const secretMembers = ['authorization', 'cookie', 'token', 'tokens', 'adminKey', 'secret', 'secrets', 'password']
/** A signed JWT, wherever in a text it stands: its header is a JSON object, which begins with `eyJ` in base64url. */
const signedToken = /eyJ[\w-]{4,}\.[\w-]+\.[\w-]*/g
const bearerToken = /(bearer\s+)[^\s"\\]+/gi
/** Shorter texts would turn up by chance. */
const hiddenLengthMin = 8

/**
 * The server's logger: one line of JSON an event. Secrets and tokens are taken out twice: by the name of the member that holds them, and from
 * the finished line by their form, since error texts and URLs of other people's making may quote them.
 */
export function createLogger({ level, hidden = [], destination = new LogOutput() }: LoggingOptions): Logger {
  const needles = hidden.filter(({ length }) => length >= hiddenLengthMin).map((text) => JSON.stringify(text).slice(1, -1))
  const streamWrite = (line: string): string => {
    const clean = line.replace(signedToken, '[token]').replace(bearerToken, '$1[key]')
    return needles.reduce((text, needle) => text.replaceAll(needle, '[secret]'), clean)
  }
  const paths = secretMembers.flatMap((name) => [name, `*.${name}`, `*.*.${name}`])
  const options = {
    level,
    base: null,
    redact: { paths, censor: '[secret]' },
    serializers: { err: stdSerializers.err, req: requestSerializer, res: responseSerializer },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    hooks: { streamWrite },
  }
  return pino(options, destination)
}

/** A request without its headers and body. */
function requestSerializer(request: { readonly method?: unknown; readonly url?: unknown }): object {
  return { method: request.method, url: request.url }
}

function responseSerializer(response: { readonly statusCode?: unknown }): object {
  return { statusCode: response.statusCode }
}
