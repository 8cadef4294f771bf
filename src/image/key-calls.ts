/** The calls of an engine that concern the keys of an encrypted store. */
import type { Secret } from '../crypto/secret.ts'
import { beginRotation, changeKeys, commitHeads, finishRotation } from './keys.ts'
import { RestoringCalls } from './restoring.ts'
import type { CallOptions, HeadStart, KeyReport, KeyRequest } from './types.ts'

export abstract class KeyCalls extends RestoringCalls {
  /** What the store was opened with. */
  protected abstract readonly secret: Secret | undefined

  /** Runs a step that nothing else of the kind runs beside. Errors: BUSY. */
  protected abstract upkeep<T>(name: string, step: () => Promise<T>): Promise<T>

  abstract openHead(args: { image: string }): Promise<HeadStart>

  abstract closeHead(args: { image: string }): Promise<void>

  async keys(args: KeyRequest): Promise<KeyReport> {
    const { env, store } = this.open
    return changeKeys(env, store, this.secret, args)
  }

  rotateKeys(options: CallOptions = {}): Promise<KeyReport> {
    return this.upkeep('key rotate-master', async () => {
      await commitHeads(this, this.open.catalog.names())
      beginRotation(this.open.env, this.open.store, this.secret)
      await this.openAnew({ ...options, secret: this.secret })
      return finishRotation(this.open.env, this.open.store, options)
    })
  }
}
