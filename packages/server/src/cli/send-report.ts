import { exitCodeOf } from './exit-codes.ts'
import { formatAddress } from './options.ts'
import { jsonLine, type Output } from './output.ts'
import type { OpenMessage, Outcome, SendingReport, SendPlan } from './sending.ts'

/** Failures, and messages left open, that are told one by one; the rest are only counted. */
const toldMax = 10
const progressEvery = 256

/** Tells how the messages of one run ended. */
export class SendReport implements SendingReport {
  readonly #output: Output
  readonly #plan: SendPlan
  readonly #isLines: boolean
  readonly #onUnwritable: (error: unknown) => void
  /** A stream takes what is written in turn: once this is, all before it is too. */
  #lastWrite: Promise<void> = Promise.resolve()
  #isFullTold = false
  #isDestinationTold = false
  #done = 0
  #failed = 0
  #firstFailure: Outcome | undefined

  /** @param onUnwritable called when nobody reads the report any more */
  constructor(output: Output, plan: SendPlan, isLines: boolean, onUnwritable: (error: unknown) => void) {
    this.#output = output
    this.#plan = plan
    this.#isLines = isLines
    this.#onUnwritable = onUnwritable
  }

  /** Takes what became of one message. */
  add(outcome: Outcome): void {
    if (outcome.isDone) this.#done++
    else {
      this.#failed++
      this.#firstFailure ??= outcome
    }
    if (this.#output.isJson) this.#writeLine(`${jsonLine(this.#jsonOf(outcome))}\n`)
    else if (!outcome.isDone) this.#tellFailure(outcome)
    else if (!this.#isLines)
      this.#writeLine(`${this.#output.style('green', outcome.code)}${outcome.id === undefined ? '' : ` ${outcome.id}`}\n`)
    if (this.#isLines && (this.#done + this.#failed) % progressEvery === 0) {
      this.#output.progress(`${count(this.#done)} ${this.#plan.wait}`)
    }
  }

  /** Tells once that lines have to wait. */
  outboxFull(): void {
    if (!this.#isFullTold) this.#output.note('The outbox is full of messages that are not delivered yet. Waiting for room.')
    this.#isFullTold = true
  }

  /** Tells once that lines have to wait for whoever is to receive them. */
  destinationFull(): void {
    const to = formatAddress(this.#plan.draft.to)
    if (!this.#isDestinationTold)
      this.#output.note(`${to} has as many lines waiting as may wait. Going on once they are received.`)
    this.#isDestinationTold = true
  }

  written(): Promise<void> {
    return this.#lastWrite
  }

  /** Takes what was still open when the waiting was ended. */
  leave(open: readonly OpenMessage[]): void {
    if (this.#output.isJson) {
      for (const { number, id, status } of open)
        this.#writeLine(`${jsonLine({ ...this.#head(number, id), status, isOpen: true })}\n`)
      return
    }
    for (const { number, id, status } of open.slice(0, toldMax)) {
      const names = [...(this.#isLines ? [`line ${number}`] : []), ...(id === undefined ? [] : [`id ${id}`])]
      this.#output.note(`Still open: ${[...names, status].join(', ')}.`)
    }
    if (open.length > toldMax) this.#output.note(`Still open: ${count(open.length - toldMax)} more.`)
  }

  /** Sums up. @returns the number to exit with */
  finish(): number {
    if (this.#isLines && !this.#output.isJson) {
      const failed =
        this.#firstFailure === undefined ? '' : `, ${count(this.#failed)} failed, the first at line ${this.#firstFailure.number}`
      this.#output.note(`${count(this.#done)} ${this.#done === 1 ? 'message' : 'messages'} ${this.#plan.wait}${failed}.`)
    }
    return this.#firstFailure === undefined ? 0 : exitCodeOf(this.#firstFailure.code).number
  }

  #tellFailure({ number, code, message }: Outcome): void {
    const where = this.#isLines ? `line ${number}: ` : ''
    if (this.#failed <= toldMax) this.#output.failure(code, `${where}${code}${message === '' ? '' : `: ${message}`}`, undefined)
    if (this.#failed === toldMax + 1) this.#output.note('Further failures are only counted.')
  }

  #jsonOf({ number, id, isDone, code, message }: Outcome): unknown {
    return { ...this.#head(number, id), status: code, ...(isDone || message === '' ? {} : { message }) }
  }

  #head(number: number, id: bigint | undefined): object {
    const line = this.#isLines ? { line: number } : {}
    return { ...line, id: id === undefined ? null : id.toString(), to: this.#plan.draft.to }
  }

  #writeLine(line: string): void {
    this.#lastWrite = this.#output.write(line).catch((error: unknown) => this.#onUnwritable(error))
  }
}

function count(number: number): string {
  return number.toLocaleString('en-US')
}
