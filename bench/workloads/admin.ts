/** Calls to the HTTP API, one after the other without waiting (RFC 9112, 9.3.2): how users and groups of a size come to be. */
import { once } from 'node:events'
import { connect } from 'node:net'

/** A call. */
export interface AdminCall {
  readonly method: 'POST' | 'PUT'
  readonly path: string
  readonly body: unknown
}

/** Calls that may wait for their answer. */
const windowCalls = 2_000

/** Makes all these calls. @throws Error when one is refused */
export async function callAll(
  { port, key }: { readonly port: number; readonly key: string },
  calls: Iterable<AdminCall>,
): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const answers = new Answers()
  socket.on('data', (bytes: Buffer) => answers.take(bytes.toString('latin1')))
  socket.on('error', (error) => answers.fail(error))
  socket.on('close', () => answers.fail(new Error('the HTTP API closed the connection')))
  let made = 0
  for (const { method, path, body } of calls) {
    const content = JSON.stringify(body)
    const lines = [
      `${method} ${path} HTTP/1.1`,
      'Host: 127.0.0.1',
      `Authorization: Bearer ${key}`,
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(content)}`,
    ]
    socket.write(`${lines.join('\r\n')}\r\n\r\n${content}`)
    made += 1
    if (made % windowCalls === 0) await answers.reach(made - windowCalls / 2)
  }
  await answers.reach(made)
  socket.removeAllListeners('close').destroy()
}

/** Counts answers, which must all be good ones. */
class Answers {
  #count = 0
  #text = ''
  #awaited: { readonly count: number; readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined
  #failure: Error | undefined

  take(text: string): void {
    this.#text += text
    for (;;) {
      const end = this.#text.indexOf('\r\n\r\n')
      if (end < 0) break
      const head = this.#text.slice(0, end)
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
      if (this.#text.length < end + 4 + length) break
      if (!head.startsWith('HTTP/1.1 2')) this.fail(new Error(`refused: ${this.#text.slice(0, end + 4 + length)}`))
      this.#text = this.#text.slice(end + 4 + length)
      this.#count += 1
    }
    if (this.#awaited !== undefined && this.#count >= this.#awaited.count) this.#awaited.resolve()
  }

  fail(error: Error): void {
    this.#failure ??= error
    this.#awaited?.reject(error)
  }

  reach(count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#awaited = { count, resolve, reject }
      if (this.#failure !== undefined) reject(this.#failure)
      else if (this.#count >= count) resolve()
    })
  }
}
