/**
 * Held while a daemon is started, so that of several commands that need one at once the first starts it and
 * the others find it ready. The operating system drops it with its process.
 */
import { chmodSync, mkdirSync } from 'node:fs'
import { waitForLock } from 'fs-native-extensions'
import type { EnvFile } from '../env/env.ts'
import { systemEnv } from '../env/system.ts'
import { controlPaths } from './socket-path.ts'

export class StartLock implements Disposable {
  readonly #file: EnvFile

  private constructor(file: EnvFile) {
    this.#file = file
  }

  /** Waits for whoever starts a daemon now. Makes the control directory. */
  static async take(store: string): Promise<StartLock> {
    const { directory, startLock } = controlPaths(store)
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    chmodSync(directory, 0o700)
    const file = systemEnv().open(startLock, 'create')
    await waitForLock(file.fd)
    return new StartLock(file)
  }

  close(): void {
    this.#file.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
