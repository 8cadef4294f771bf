export type Outcome = 'passed' | 'failed' | 'skipped'

/**
 * What ava's default reporter writes at the start of a line, and what it counts as. A file that crashed, hung
 * or holds no test has a line with a cross too; a test still running at a timeout has a dotted circle.
 */
const MARKS: readonly (readonly [string, Outcome])[] = [
  ['  ✔ ', 'passed'],
  ['  ✘ ', 'failed'],
  ['  ◌ ', 'failed'],
  ['  - [skip] ', 'skipped'],
  ['  - [todo] ', 'skipped'],
]

/** Counts the outcomes of a test run and keeps the names of what failed. */
export class Tally {
  readonly failed: string[] = []
  #passedCount = 0
  #skippedCount = 0

  add(outcome: Outcome, name: string): void {
    if (outcome === 'failed') this.failed.push(name)
    else if (outcome === 'passed') this.#passedCount++
    else this.#skippedCount++
  }

  /** Takes one line of ava's report. */
  line(text: string): void {
    for (const [mark, outcome] of MARKS) {
      if (text.startsWith(mark)) this.add(outcome, text.slice(mark.length).replace(/^\[fail\]: /, ''))
    }
  }

  get passedCount(): number {
    return this.#passedCount
  }

  toString(): string {
    return `${this.#passedCount} passed, ${this.failed.length} failed, ${this.#skippedCount} skipped`
  }
}
