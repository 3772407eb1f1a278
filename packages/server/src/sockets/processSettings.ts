import type { SocketOptions } from './sockets.ts'

/** What a process that holds sockets is started with, in JSON. */
export interface ProcessSettings extends SocketOptions {
  readonly logLevel: string
}

/** The descriptor of the stream between it and the server. */
export const pipeDescriptor = 4
