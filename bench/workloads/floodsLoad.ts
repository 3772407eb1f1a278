/** The attacker of `floods`, in a process of its own. Started by `Child`. */
import { answerAll, settingsOf } from '../answering.ts'
import { attackedUsers, attacks } from './attacks.ts'

/** What an attacker is started with. */
export interface FloodsSettings {
  readonly port: number
  /** Of `attackedUsers`, in their order. */
  readonly tokens: readonly string[]
  /** The name of an attack. */
  readonly attack: string
}

const { port, tokens, attack } = settingsOf<FloodsSettings>()
const token = (user: string): string => tokens[attackedUsers.indexOf(user)] ?? ''
let end = (): void => {}
let round = 0

answerAll({
  begin: async () => {
    const begin = attacks.get(attack)
    if (begin === undefined) throw new Error(`there is no attack '${attack}'`)
    end = await begin({ port, token, round })
    round += 1
  },
  finish: () => end(),
})
