import { type Place, pause } from '../process/place.ts'
import { bodyOf, type Note } from './history.ts'

const lane = 8
const pauseMs = 30

/** Sends as a user over the HTTP API: each message until it is answered, then other content under its id, then the message again. */
export class HttpSender {
  readonly notes: Note[] = []
  readonly #place: Pick<Place, 'call'>
  readonly #from: string
  readonly #to: string
  readonly #running: Promise<void>
  #isWanted = true
  #isAbandoned = false

  constructor(place: Pick<Place, 'call'>, from: string, to: string) {
    this.#place = place
    this.#from = from
    this.#to = to
    this.#running = this.#run()
  }

  /** Ends after the message that is under way. */
  async end(): Promise<void> {
    this.#isWanted = false
    await this.#running
  }

  /** Ends at once, also while nobody answers. */
  async abandon(): Promise<void> {
    this.#isAbandoned = true
    await this.end()
  }

  async #run(): Promise<void> {
    for (let id = 1; this.#isWanted; id++) {
      const body = bodyOf(this.#from, this.#to, lane, id)
      this.notes.push(['attempt', id, this.#to, lane])
      await this.#send(id, body)
      this.notes.push(['impostor', id])
      await this.#send(id, 'an impostor')
      await this.#send(id, body)
      await pause(pauseMs)
    }
  }

  async #send(id: number, body: string): Promise<void> {
    while (!this.#isAbandoned) {
      const request = { from: this.#from, to: { user: this.#to }, id: String(id), priority: lane, body }
      const answer = await this.#place.call('POST', '/v1/messages', request).catch(() => undefined)
      const said = answer === undefined ? undefined : verdictOf(answer.body)
      if (said !== undefined) return void this.notes.push(['status', id, said])
      await pause(pauseMs)
    }
  }
}

/** The status, or the code of a refusal that stands; undefined where another attempt may be answered otherwise. */
function verdictOf(body: unknown): string | undefined {
  if (typeof body !== 'object' || body === null) return undefined
  if ('status' in body && typeof body.status === 'string') return body.status
  const isFinal = 'retryable' in body && body.retryable === false
  return isFinal && 'code' in body ? String(body.code) : undefined
}
