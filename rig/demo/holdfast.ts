/** The command line of this checkout, run as a user runs it: one process for each command. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { DemoFailure } from './failure.ts'
import type { Story } from './story.ts'

const entry = join(import.meta.dirname, '../../bin/holdfast.js')

/** A command's answer, and the time from the start of its process to its end. */
export interface Answer<T> {
  readonly result: T
  readonly commandMs: number
}

export class Holdfast {
  readonly store: string
  readonly #story: Story
  readonly #signal: AbortSignal | undefined

  /** The signal ends the command that runs when it comes. */
  constructor(store: string, story: Story, signal?: AbortSignal) {
    this.store = store
    this.#story = story
    this.#signal = signal
  }

  /** Shows and runs a command, and reads the JSON that it prints. @throws DemoFailure when it fails. */
  async run<T>(...words: readonly string[]): Promise<Answer<T>> {
    this.#story.command(['holdfast', ...words])
    return await this.ask<T>(...words)
  }

  /** The same without showing it: for looking again and again. */
  async ask<T>(...words: readonly string[]): Promise<Answer<T>> {
    this.#signal?.throwIfAborted()
    const startMs = performance.now()
    const child = spawn(process.execPath, [entry, '--json', '--quiet', ...words], {
      // A session of its own: Ctrl-C is for the demo, which then ends its commands and cleans up.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, HOLDFAST_STORE: this.store },
      signal: this.#signal,
    })
    const end = once(child, 'close')
    const [out, err, [code, signal]] = await Promise.all([text(child.stdout), text(child.stderr), end])
    if (code !== 0) throw new DemoFailure(`holdfast ${nameOf(words)} ended with ${code ?? signal}: ${err.trim()}`)
    return { result: JSON.parse(out) as T, commandMs: performance.now() - startMs }
  }
}

/** A command without its arguments: they have just been shown. */
function nameOf(words: readonly string[]): string {
  return words.slice(0, words[0] === 'vm' || words[0] === 'daemon' ? 2 : 1).join(' ')
}
