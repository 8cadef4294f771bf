/**
 * An epoch that was just brought here is likely to be resumed: what the resume will want in any case is made ready
 * meanwhile, and let go when none comes.
 */
import type { RecordParcel } from '../image/remote/messages.ts'
import { nodesOf } from '../image/remote/messages.ts'
import { bootFiles } from './boot-files.ts'
import type { MachineContext } from './context.ts'
import { readFacts } from './facts.ts'
import type { FirstReads } from './resume.ts'
import { expectedMs } from './limits.ts'

export interface ExpectedEpoch {
  /** Hex. */
  readonly manifest: string
  /** As its record has them. */
  readonly facts: unknown
  /** Records that are not in the store yet. */
  readonly parcels: readonly RecordParcel[]
}

export class ExpectedResume {
  readonly #context: MachineContext
  readonly #letGo: () => Promise<void>
  #epoch: { manifest: string; nodes: RecordParcel[] } | null = null

  /** `letGo` ends the pushing thread unless it is in use. */
  constructor(context: MachineContext, letGo: () => Promise<void>) {
    this.#context = context
    this.#letGo = letGo
  }

  /** Something is being brought here. */
  begin(): void {
    this.#context.pusher.start()
    setTimeout(() => void this.#end(), expectedMs).unref()
    // What a probe finds is kept; why it fails, if it does, the resume will say.
    this.#context.driver.probe({}).catch(() => undefined)
  }

  /** It is here. Errors: as readFacts. */
  expect({ manifest, facts, parcels }: ExpectedEpoch): void {
    const { pusher } = this.#context
    const { spec } = readFacts(facts, 'the epoch')
    for (const parcel of parcels) pusher.admit(parcel)
    void pusher.find({ manifest, paths: bootFiles(spec), want: 'made' })
    this.#epoch = { manifest, nodes: parcels.map(nodesOf) }
  }

  /** With records of manifest nodes that a mount of the epoch will want and the store may not have yet. */
  with(first: FirstReads, manifest: string): FirstReads {
    return this.#epoch?.manifest === manifest ? { ...first, nodes: Promise.resolve(this.#epoch.nodes) } : first
  }

  async #end(): Promise<void> {
    this.#epoch = null
    await this.#letGo()
  }
}
