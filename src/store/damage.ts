/** What verification finds wrong in packs. */
import type { Buffer } from 'node:buffer'

/**
 * file: it cannot be opened or read. header, footer: the pack's own. bytes: no sound record where one must be.
 * record: the checksum is right, yet it does not decode to its id. base: the record is sound, what it builds on
 * cannot be read, so the pack is not to blame.
 */
export type DamageKind = 'file' | 'header' | 'footer' | 'bytes' | 'record' | 'base'

export interface Damage {
  readonly kind: DamageKind
  readonly path: string
  readonly packNumber: number
  readonly offset: number
  readonly bytes: number
  /** Hexadecimal; absent where nothing tells which record lay there. */
  readonly id?: string
  readonly reason: string
}

/** The number of what is no pack at all; packs are counted from 1. */
export const strangerNumber = 0

/** A record that must lie at a place, as a footer or the index says. */
export interface ExpectedRecord {
  readonly id: Buffer
  readonly depth: number
  readonly offset: number
  readonly recordBytes: number
}

/** Whether the pack's file is at fault, so that what is good in it should move elsewhere. */
export function blamesPack(damage: Damage): boolean {
  return damage.kind !== 'base'
}
