/** What the bench leaves for the report: figures as JSON, by part. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Figure } from './ground.ts'

/** What one part of the bench came to. */
export interface PartResult {
  readonly part: string
  readonly machine: string
  /** What the machine was worth when the bench began. */
  readonly worth: readonly Figure[]
  /** When the part ended, in ISO 8601. */
  readonly date: string
  /** The command that measures it again. */
  readonly command: string
  readonly figures: readonly Figure[]
}

/** The results in a file; none when there is no such file. */
export function readResults(file: string): PartResult[] {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as PartResult[]) : []
}

/** Adds a result to a file. What it held of the same part goes. */
export function saveResult(file: string, result: PartResult): void {
  const others = readResults(file).filter(({ part }) => part !== result.part)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify([...others, result], undefined, 1)}\n`)
}
