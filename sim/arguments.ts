/** The command line of the simulator. */
import { availableParallelism } from 'node:os'

/** What was asked for. */
export interface Arguments {
  readonly seed: number | undefined
  readonly seeds: number
  readonly from: number
  readonly threads: number
  readonly secondsMax: number
  /** The file that a long run goes on from. */
  readonly log: string | undefined
  /** The name of a planted fault, or `all`. */
  readonly fault: string | undefined
  readonly plan: string | undefined
  readonly isShrinking: boolean
  readonly isPinning: boolean
  readonly isQuiet: boolean
  readonly isHelp: boolean
}

/** What `--help` prints. */
export const help = `The deterministic simulator: the real core and the real client machines in a world made of one seed.

  npm run sim -- --seeds 1000            runs the schedules of the seeds 1 to 1000 on all cores
  npm run sim -- --seed 42               runs one again, to the last bit, and prints what happens in it
  npm run sim -- --seed 42 --shrink      looks for the shortest schedule that fails as this one does

  --from N         the first of --seeds; default 1
  --seconds N      begins no schedule after so long
  --log FILE       for long runs: keeps there what --seeds came to, runs what the file has not of them, and prints the sum of all in it
  --threads N      default: as many as there are cores
  --shrink         after the first failure of --seeds, too
  --plan FILE      runs a plan from a file, such as those in sim/regressions
  --fault NAME     plants a fault, and runs until it is caught, 5000 schedules at most; 'all': each in turn
  --pin            with --fault: writes the seeds that were found to sim/faults/pins.json, where the tests look them up
  --quiet          prints no trace
  --help

Exit codes: 0 all passed; 1 wrong arguments; 2 something threw; 3 something never came to rest; 4 an invariant was broken;
5 a planted fault was not caught.`

/** How many schedules a planted fault may take. */
const faultSeeds = 5_000

const numbers = ['seed', 'seeds', 'from', 'threads', 'seconds'] as const
const texts = ['log', 'fault', 'plan'] as const
const switches = ['shrink', 'pin', 'quiet', 'help'] as const

/** Reads the command line. @throws Error with a word of what is wrong */
export function readArguments(words: readonly string[]): Arguments {
  const values = new Map<string, string>()
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? ''
    const name = word.replace(/^--/, '')
    if (switches.some((known) => `--${known}` === word)) values.set(name, 'on')
    else if ([...numbers, ...texts].some((known) => `--${known}` === word)) {
      at += 1
      values.set(name, words[at] ?? '')
    } else throw new Error(`'${word}' is not known; see --help`)
  }
  const numberOf = (name: (typeof numbers)[number], absent: number): number => {
    const text = values.get(name)
    if (text === undefined) return absent
    const value = Number(text)
    if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name} takes a whole number, not '${text}'`)
    return value
  }
  return {
    seed: values.has('seed') ? numberOf('seed', 0) : undefined,
    seeds: numberOf('seeds', values.has('fault') ? faultSeeds : 200),
    from: numberOf('from', 1),
    threads: Math.max(1, numberOf('threads', availableParallelism())),
    secondsMax: numberOf('seconds', Number.MAX_SAFE_INTEGER),
    log: values.get('log'),
    fault: values.get('fault'),
    plan: values.get('plan'),
    isShrinking: values.has('shrink'),
    isPinning: values.has('pin'),
    isQuiet: values.has('quiet'),
    isHelp: values.has('help'),
  }
}
