/**
 * Which form a chunk is stored in, and on which base.
 *
 * A chain is at most three deltas deep, so the newest version is often no possible base: at full depth a new
 * version is stored on the deepest base of its predecessor instead, and carries the changes since that base
 * again. What that costs beyond a delta on the predecessor itself is the *excess*; a record carries the
 * excess paid so far on its base (`paidBytes`). As a skier who does not know how long the winter is buys the
 * skis once the rent has added up to their price, we write one level lower (a fresh base of smaller depth)
 * once the excess paid on the present base is more than that costs; and so on down to a whole chunk. This
 * never costs more than twice what the best choice in hindsight would, at each level (Karlin, Manasse,
 * Rudolph, Sleator: Competitive snoopy caching, 1988).
 *
 * LZ4 of the whole is tried only where the delta is poor, and as the price of the last level.
 */
import { compressDelta, compressWhole, isPoorDelta } from '../chunk/codec.ts'
import type { Buffer } from 'node:buffer'
import { codecDelta, codecLz4, codecRaw, recordHeaderBytesFor } from '../format/pack-record.ts'
import { deltaDepthMax } from '../limits.ts'

/** An earlier version that can be a base. */
export interface Version {
  readonly id: Buffer
  readonly depth: number
  readonly paidBytes: number
  plain(): Buffer
}

export interface ChunkForm {
  readonly codec: number
  readonly depth: number
  readonly payload: Uint8Array
  readonly paidBytes: number
  readonly baseId: Buffer | undefined
  readonly baseDepth: number
}

/** `versions`: the predecessor, then its record's bases, nearest first; empty where there is none. */
export function chooseForm(plain: Uint8Array, versions: readonly Version[]): ChunkForm {
  const delta = versions.length === 0 ? undefined : chooseDelta(plain, versions)
  if (delta !== undefined && !isPoorDelta(delta.payload)) return delta
  const whole = wholeForm(plain)
  return delta !== undefined && weight(delta) < weight(whole) ? delta : whole
}

/** The form that needs no other record. */
export function wholeForm(plain: Uint8Array): ChunkForm {
  const compressed = compressWhole(plain)
  const alone = { depth: 0, paidBytes: 0, baseId: undefined, baseDepth: 0 }
  if (compressed === undefined) return { codec: codecRaw, payload: plain, ...alone }
  return { codec: codecLz4, payload: compressed, ...alone }
}

function chooseDelta(plain: Uint8Array, versions: readonly Version[]): ChunkForm | undefined {
  const newest = compressDelta(plain, versions[0].plain())
  if (newest === undefined) return undefined
  if (versions[0].depth < deltaDepthMax) return deltaForm(newest, versions[0], 0)
  let base = 1
  let form = compressedForm(plain, versions[base])
  while (form !== undefined) {
    const paidBytes = versions[base - 1].paidBytes + Math.max(0, form.payload.length - newest.length)
    // A lower base is an older one, and costs at least as much: no need to look before the excess says so.
    if (paidBytes <= form.payload.length) return { ...form, paidBytes }
    base += 1
    const lower = base < versions.length ? compressedForm(plain, versions[base]) : wholeForm(plain)
    if (lower === undefined || paidBytes <= lower.payload.length) return { ...form, paidBytes }
    if (base >= versions.length) return lower
    form = lower
  }
  return undefined
}

function compressedForm(plain: Uint8Array, base: Version): ChunkForm | undefined {
  const payload = compressDelta(plain, base.plain())
  return payload === undefined ? undefined : deltaForm(payload, base, 0)
}

function deltaForm(payload: Uint8Array, base: Version, paidBytes: number): ChunkForm {
  return { codec: codecDelta, depth: base.depth + 1, payload, paidBytes, baseId: base.id, baseDepth: base.depth }
}

function weight(form: ChunkForm): number {
  return recordHeaderBytesFor(form.codec) + form.payload.length
}
