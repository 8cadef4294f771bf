/** How long calls of the store say how far they are, and how they are stopped. */
import { setImmediate } from 'node:timers/promises'
import { HoldfastError } from '../errors.ts'

export interface StoreProgress {
  /** What is being done, for people: "scanning packs". */
  readonly step: string
  readonly done: number
  /** 0 while unknown. */
  readonly total: number
  readonly unit: 'bytes' | 'records' | 'packs'
}

export interface LongCall {
  readonly signal?: AbortSignal
  readonly progress?: (progress: StoreProgress) => void
}

/** Lets the event loop turn, so that an abort can arrive. Errors: ABORTED. */
export async function breathe(call: LongCall): Promise<void> {
  await setImmediate()
  if (call.signal?.aborted) throw new HoldfastError('ABORTED', 'stopped on request', { cause: call.signal.reason })
}
