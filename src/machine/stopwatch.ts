/** The parts of a verb in milliseconds, for its result. */
import type { Env } from '../env/env.ts'

export class Stopwatch {
  readonly parts: Record<string, number> = {}
  readonly #env: Env
  readonly #beginMs: number

  constructor(env: Env) {
    this.#env = env
    this.#beginMs = env.monotonicMs()
  }

  get totalMs(): number {
    return this.#env.monotonicMs() - this.#beginMs
  }

  /** Adds up where a part comes twice. */
  async part<T>(name: string, step: Promise<T>): Promise<T> {
    const begin = this.#env.monotonicMs()
    const result = await step
    this.parts[name] = (this.parts[name] ?? 0) + this.#env.monotonicMs() - begin
    return result
  }
}
