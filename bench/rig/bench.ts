/** What a bench is: one question, answered with tables, beside a baseline that was measured in the same run. */
import type { Scratch } from './scratch.ts'

export interface Bench {
  /** As `npm run bench -- NAME` knows it; the file has the same name. */
  readonly name: string
  readonly question: string
  run(run: BenchRun): Promise<BenchResult>
}

export interface BenchRun {
  /** Smaller sizes and fewer rounds: to see that it works, not to be quoted. */
  readonly quick: boolean
  readonly scratch: Scratch
  /** Says on stderr what goes on. */
  note(text: string): void
}

/** A number is a measurement in the unit that its column's title names; null is a dash. */
export type Cell = string | number | null

export interface Table {
  readonly title: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly Cell[])[]
}

/** A figure that is promised: at most (or at least) `limit`. */
export interface Target {
  readonly what: string
  readonly figure: number
  readonly limit: number
  readonly kind: 'at most' | 'at least'
  readonly unit: string
}

export interface BenchResult {
  readonly tables: readonly Table[]
  readonly targets: readonly Target[]
  /** Where the baseline did better, in sentences. */
  readonly lost: readonly string[]
  /** What a reader must know to judge the figures. */
  readonly notes: readonly string[]
}

export function isMet(target: Target): boolean {
  return target.kind === 'at most' ? target.figure <= target.limit : target.figure >= target.limit
}
