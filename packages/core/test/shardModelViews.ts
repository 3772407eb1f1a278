import { type CodeName, codeByNumber } from '@posthaste/protocol'
import type { Effects, SendResult } from '../src/shard/effects.ts'
import type { Log, Send } from './shardModel.ts'

/** What a sender that is always connected knows of its messages, by section 5 of PROTOCOL.md. */
interface View {
  readonly lane: number
  readonly isGroup: boolean
  status: CodeName
  /** 0: no mark speaks for it, for good. */
  readonly count: number
  /** Whether a STATUS said that no mark speaks for it any more. */
  isSilent: boolean
}

/** The knowledge of all senders, from results, marks, statuses and counts alone. */
export class SenderViews {
  readonly #views = new Map<string, View>()
  readonly #marks = new Map<string, { delivered: number; read: number }>()

  /** A SEND was answered. */
  answered(sender: number, log: Log, { id, lane }: Send, { status, count }: SendResult): void {
    const { name } = codeByNumber(status)
    if (id === 0n || name === 'conflict') return
    const key = `${sender}/${log.identity}/${id}`
    const isGroup = log.kind === 1
    const view = this.#views.get(key)
    // Under the same id after the key's end it is another message.
    const isAnother = name === 'sent' && (view?.status !== 'sent' || view.count !== count)
    if (view === undefined || isAnother)
      this.#views.set(key, { lane, isGroup, status: name as CodeName, count: isGroup ? 0 : count, isSilent: false })
  }

  /** Takes what senders are told. */
  take({ marks, statuses, counts }: Effects): void {
    for (const { sender, log, lane, delivered, read } of marks) {
      const key = `${sender}/${log}/${lane}`
      const before = this.#marks.get(key) ?? { delivered: 0, read: 0 }
      this.#marks.set(key, { delivered: Math.max(delivered, before.delivered), read: Math.max(read, before.read) })
    }
    for (const { sender, log, id, status } of statuses) {
      const view = this.#views.get(`${sender}/${log}/${id}`)
      if (view === undefined) continue
      view.status = codeByNumber(status).name as CodeName
      view.isSilent = view.status !== 'delivered'
    }
    for (const { sender, log, id, delivered, read, members } of counts) {
      const view = this.#views.get(`${sender}/${log}/${id}`)
      if (view === undefined || members === 0) continue
      if (read >= members) view.status = 'read'
      else if (delivered >= members) view.status = 'delivered'
    }
  }

  /** The status of a message as its sender would show it. */
  statusOf(sender: number, log: Log, id: bigint): CodeName | undefined {
    const key = `${sender}/${log.identity}/${id}`
    const view = this.#views.get(key)
    if (view === undefined) return undefined
    const marks = this.#marks.get(`${sender}/${log.identity}/${view.lane}`)
    if (view.isGroup || view.count === 0 || marks === undefined || view.isSilent) return view.status
    if (view.count <= marks.read) return 'read'
    return view.count <= marks.delivered ? 'delivered' : view.status
  }
}
