/** The demo's output: numbered steps, the commands as they can be typed, what was seen and what it proves. */
import type { Writable } from 'node:stream'
import { DemoFailure } from './failure.ts'

const lineCharactersMax = 100

export interface Check {
  readonly what: string
  readonly seen: string
}

export class Story {
  readonly checks: Check[] = []
  /** How long each step took. */
  readonly steps: { step: string; ms: number }[] = []
  readonly #out: Writable

  constructor(out: Writable) {
    this.#out = out
  }

  say(text: string = ''): void {
    this.#out.write(`${text}\n`)
  }

  /** Runs one step under its title. */
  async step<T>(title: string, run: () => Promise<T>): Promise<T> {
    this.say(`\n${this.steps.length + 1}. ${title}`)
    const entry = { step: title, ms: 0 }
    this.steps.push(entry)
    const startMs = performance.now()
    try {
      return await run()
    } finally {
      entry.ms = Math.round(performance.now() - startMs)
    }
  }

  command(words: readonly string[]): void {
    this.say(`   $ ${wrapped(words)}`)
  }

  seen(text: string): void {
    this.say(`     ${text}`)
  }

  /** What follows from what was seen. */
  proves(text: string): void {
    this.say(`   → ${text}`)
  }

  /** An expectation with what was seen of it. @throws DemoFailure when it does not hold. */
  expect(holds: boolean, what: string, seen: string): void {
    if (!holds) throw new DemoFailure(`expected: ${what}; seen: ${seen}`)
    this.checks.push({ what, seen })
    this.say(`   ✓ ${what}: ${seen}`)
  }
}

/** On several lines where one would be long, options with their values; it can be pasted as it is. */
function wrapped(words: readonly string[]): string {
  const parts: string[] = []
  for (const word of words) {
    if (parts.length === 0 || word.startsWith('-')) parts.push(quoted(word))
    else parts.push(`${parts.pop()} ${quoted(word)}`)
  }
  const lines: string[] = []
  for (const part of parts) {
    const longer = `${lines.at(-1)} ${part}`
    if (lines.length > 0 && longer.length <= lineCharactersMax) lines[lines.length - 1] = longer
    else lines.push(part)
  }
  return lines.join(' \\\n       ')
}

/** As a shell takes it. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/** `812 B`, `1.5 MiB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`
}

/** `4.2 ms`, `38 s`. */
export function timeText(ms: number): string {
  if (ms >= 10_000) return `${Math.round(ms / 1_000)} s`
  return ms < 1_000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1_000).toFixed(1)} s`
}
