/** What the simulator prints. */
import { violationLines } from './checker/violation.ts'
import { faultKinds, tabKinds } from './plan/stepKinds.ts'
import type { Plan, Step } from './plan/plan.ts'
import type { Outcome } from './run.ts'
import type { Failure, Totals } from './totals.ts'

const yearMs = 31_557_600_000

/** One line while it runs. */
export function progressLine({ schedules, failures, workMs }: Totals, count: number): string {
  return `${schedules} of ${count} schedules, ${failures.length} failed, ${perSecond(schedules, workMs)} a core-second`
}

function perSecond(count: number, ms: number): string {
  return ms === 0 ? '0' : ((count * 1_000) / ms).toFixed(1)
}

/** What many schedules came to. */
export function totalsLines(totals: Totals, realMs: number): string[] {
  const { schedules, ms, events, workMs, counts, traces, failures } = totals
  const faults = [...counts].filter(([name]) => isFault(name))
  const rest = [...counts].filter(([name]) => !isFault(name))
  const sum = faults.reduce((all, [, count]) => all + count, 0)
  return [
    ...faults.sort().map(countLine),
    '',
    ...rest.sort().map(countLine),
    '',
    `${schedules} schedules in ${(realMs / 1_000).toFixed(1)} s, ${perSecond(schedules, workMs)} a core-second`,
    `${(ms / yearMs).toFixed(3)} simulated years, ${events} events, ${sum} faults of ${faults.length} kinds, ${rest.length} named states`,
    `traces of all: ${traces.toString(16).padStart(16, '0')}`,
    ...failures.slice(0, 20).map(failureLine),
    failures.length === 0 ? 'all passed' : `${failures.length} failed`,
  ]
}

/** A failed schedule in one line. */
export function failureLine({ seed, verdict, text }: Failure): string {
  return `failed: --seed ${seed}: ${verdict}: ${text}`
}

function countLine([name, count]: readonly [string, number]): string {
  return `${String(count).padStart(10)}  ${name}`
}

const faultNames = [
  'lost in flight',
  'delivery held back',
  'delivery over 100 ms',
  'timer over 10 ms late',
  'commit over 100 ms',
  'flush over 100 ms',
  'half-open connection',
  'connection refused',
  'commit failed',
  'commit lost in a crash',
  'flush error',
  'post of a dead tab lost',
  'post between tabs over 100 ms',
]

function isFault(name: string): boolean {
  return name.startsWith('fault: ') || name.startsWith('crash at ') || name.startsWith('unflushed ') || faultNames.includes(name)
}

/** What one schedule came to. */
export function outcomeLines({ seed, verdict, text, violations, hash, ms, events }: Outcome): string[] {
  return [
    ...violations.flatMap(violationLines),
    ...(text === '' ? [] : [text]),
    `seed ${seed}: ${verdict}; trace ${hash}, ${events} events, ${(ms / 1_000).toFixed(3)} simulated seconds`,
  ]
}

/** A plan for people: what is not as usual, and its steps. */
export function planLines({ options, steps }: Plan): string[] {
  const { weights: _weights, ...shown } = options
  const texts = Object.entries(shown).map(([name, value]) => `${name} ${JSON.stringify(value)}`)
  return [`options: ${texts.join(', ')}`, ...steps.map((step, at) => `${String(at + 1).padStart(3)}. ${stepText(step)}`)]
}

function stepText(step: Step): string {
  const { kind, gapMs, user, device, other, group, isGroup, lane, expirySeconds, bytes, id, ms, choice } = step
  const to = isGroup ? `g${group}` : `u${other}`
  const who = `u${user}.d${device}`
  const isSend = ['send', 'burst', 'flood', 'sendOnce', 'realtime', 'submit'].includes(kind)
  const message = ` to ${to}, lane ${lane}, ${expirySeconds} s, ${bytes} bytes${id === 0 ? '' : `, id ${id}`}`
  const lasting = kind in faultKinds || kind in tabKinds ? `, ${ms} ms` : ''
  return `+${gapMs} ms ${kind} (${who}${isSend ? message : ` other u${other}, group g${group}`}${lasting}, choice ${choice})`
}
