/** fio writes a file at random and verifies what it wrote, until it is ended. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

export class FioVerify {
  readonly #process: ChildProcess
  readonly #output: Promise<string>

  constructor(directory: string) {
    this.#process = spawn('fio', [
      '--name=load', `--directory=${directory}`, '--size=64m', '--rw=randwrite', '--bs=4k', '--direct=1',
      '--ioengine=libaio', '--iodepth=16', '--verify=crc32c', '--verify_backlog=512', '--verify_fatal=1',
      '--time_based', '--runtime=86400',
    ], { cwd: '/tmp', stdio: ['ignore', 'pipe', 'pipe'] })
    this.#output = text(this.#process.stdout!)
  }

  /** Ends it; null where nothing was wrong, else what it said. */
  async finish(): Promise<string | null> {
    if (this.#process.exitCode !== null) return this.#output
    this.#process.kill('SIGINT')
    await once(this.#process, 'exit')
    const output = await this.#output
    // fio says of each job whether it saw an error; its own status only says that it was interrupted.
    return /err= ?0:/.test(output) ? null : output
  }

  kill(): void {
    this.#process.kill('SIGKILL')
  }
}
