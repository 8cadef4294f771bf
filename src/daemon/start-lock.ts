/**
 * Held while a daemon is started, so that of several commands that need one at once the first starts it and
 * the others find it ready. The operating system drops it with its process.
 */
import { waitForLock } from 'fs-native-extensions'
import type { EnvFile } from '../env/env.ts'
import { openStored } from '../env/stored.ts'
import { systemEnv } from '../env/system.ts'
import { makeControlDirectory } from './control-files.ts'
import { controlPaths } from './socket-path.ts'

export class StartLock implements Disposable {
  readonly #file: EnvFile

  private constructor(file: EnvFile) {
    this.#file = file
  }

  /** Waits for whoever starts a daemon now. Makes the control directory. */
  static async take(store: string): Promise<StartLock> {
    makeControlDirectory(store)
    const file = openStored(systemEnv(), controlPaths(store).startLock, 'create')
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
