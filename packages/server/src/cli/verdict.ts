import { type Address, type CodeName, codes } from '@posthaste/protocol'
import { printable } from './printable.ts'

/** What is said with a destination in it; the other codes are said in the words of their table. */
const named: Readonly<Partial<Record<CodeName, (to: string, isGroup: boolean) => string>>> = {
  'invalid-destination': (to, isGroup) => `There is no ${isGroup ? 'group' : 'user'} ${to}.`,
  'inbox-full': (to) => `${to} holds as many undelivered messages as it may.`,
  blocked: (to) => `${to} has blocked the sender.`,
  'not-member': (to) => `The sender is not a member of ${to}.`,
  'not-allowed': (to) => `The sender lacks the right to send to ${to}.`,
  removed: (to) => `${to} was deleted while the message waited.`,
  expired: (to) => `The deadline passed and no device of ${to} has said that it stored the message.`,
}

/**
 * Why a message ended, for whoever sent it: with its destination and its size where they matter. The SDK leaves texts out.
 * @param bytes the size of its body
 * @param bytesMax what the server allows, as far as that is known
 * @returns `undefined` for what is no code of the table
 */
export function verdictText(code: string, to: Address, bytes: number, bytesMax?: number): string | undefined {
  const found = codes.find(({ name }) => name === code)
  if (found === undefined) return undefined
  if (code === 'too-large') {
    const most = bytesMax === undefined ? '65536 unless it is set otherwise' : bytesMax
    return `The body has ${bytes} bytes, more than the server allows (${most}).`
  }
  const isGroup = 'group' in to
  const name = `'${printable(isGroup ? to.group : to.user)}'`
  return Object.entries(named).find(([key]) => key === code)?.[1]?.(name, isGroup) ?? found.text
}
