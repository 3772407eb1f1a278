import type { Posthaste } from '@posthaste/client'
import { codeOf } from '@posthaste/protocol'
import { CliError } from './exit-codes.ts'
import type { Draft, Handle, SendingClient } from './sending.ts'

type Client = Pick<Posthaste, 'sendRealtime' | 'connection' | 'connect'>

/** Sends in real time only: once connected, each message goes to the devices that are connected now, and is never stored. */
export class RealtimeClient implements SendingClient {
  readonly #client: Client
  readonly #signal: AbortSignal

  constructor(client: Client, signal: AbortSignal) {
    this.#client = client
    this.#signal = signal
  }

  get connection(): Client['connection'] {
    return this.#client.connection
  }

  /** Waits for a connection, then hands the messages over. */
  async sendMany(drafts: readonly Draft[]): Promise<Handle[]> {
    await this.#live()
    return drafts.map(({ expirySeconds: _expiry, receipts: _receipts, ...message }) => {
      const status = this.#client.sendRealtime(message)
      // Stored nowhere, so that nobody knows of it before its answer.
      return { id: message.id, status: 'unknown', waitFor: () => delivered(status) }
    })
  }

  async #live(): Promise<void> {
    const { connection } = this.#client
    this.#client.connect()
    this.#signal.throwIfAborted()
    if (connection.state.status === 'live') return
    await new Promise<void>((resolve, reject) => {
      const stop = connection.subscribe((state) => {
        if (state.status !== 'live') return
        stop()
        resolve()
      })
      this.#signal.addEventListener('abort', () => reject(this.#signal.reason), { once: true })
    })
  }
}

async function delivered(result: ReturnType<Client['sendRealtime']>): Promise<void> {
  const status = await result
  if (status === 'delivered') return
  const text = status === 'expired' ? 'No device of the destination is connected.' : codeOf(status).text
  throw new CliError(status, text)
}
