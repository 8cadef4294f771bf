import type { Guest } from '../guest/index.ts'
import type { Holdfast } from './holdfast.ts'
import type { DemoOptions } from './options.ts'
import type { Epoch, Machine } from './records.ts'
import type { Story } from './story.ts'

/** The image's name. */
export const IMAGE = 'debian'
export const FORK = 'debian-fork'

/** What every step works with. */
export interface Stage {
  readonly options: DemoOptions
  readonly story: Story
  readonly holdfast: Holdfast
  /** The demo's own directory: the store and what is exported from it. */
  readonly directory: string
  readonly signal: AbortSignal
}

/** A guest that runs and counts. */
export interface Running {
  readonly guest: Guest
  readonly machine: Machine
  /** A new one at each boot of the guest. */
  readonly bootId: string
}

/** An image's epochs that can be resumed, oldest first. */
export async function machineEpochs({ holdfast }: Stage, image: string): Promise<Epoch[]> {
  const { result } = await holdfast.ask<Epoch[]>('log', image)
  return result.filter((epoch) => epoch.machine)
}

export async function machineOf({ holdfast }: Stage, image: string): Promise<Machine | undefined> {
  const { result } = await holdfast.ask<Machine[]>('vm', 'status', image)
  return result.at(0)
}
