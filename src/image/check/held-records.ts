/**
 * The records of epochs that an image has, and those that it should have and cannot read: for whoever looks for them on
 * replicas. What is found comes back to the check as copies.
 */
import type { Buffer } from 'node:buffer'
import type { Env } from '../../env/env.ts'
import { isCode } from '../../errors.ts'
import type { StoredEpoch } from '../../format/epoch.ts'
import { imageKey } from '../../replica/layout.ts'
import { type LongCall, breathe } from '../../store/progress.ts'
import { isUnreadable } from '../catalog.ts'
import { readFence } from '../fence.ts'
import type { Fence } from '../fence.ts'
import type { ImageFiles } from '../image-files.ts'
import type { HeldRecords } from './record-copy.ts'
import { imageIdOf } from './rebuilt-identity.ts'

const recordsBetweenTurns = 64

/** Null where nothing tells which image it is. Errors: ABORTED, IO. */
export async function heldRecords(env: Env, files: ImageFiles, call: LongCall): Promise<HeldRecords | null> {
  const imageId = imageIdOf(files)
  const fence = imageId === null ? null : fenceOf(env, files)
  if (imageId === null || fence === undefined) return null
  const numbers: number[] = []
  const lost = pinnedAndGone(env, files)
  let nextNumber = headsNext(files)
  for (const [index, number] of files.epochNumbers().entries()) {
    const record = soundEpoch(files, imageId, number)
    if (record === null) lost.push(number)
    else numbers.push(number)
    nextNumber = Math.max(nextNumber, number + 1, record?.nextNumber ?? 0)
    if (index % recordsBetweenTurns === 0) await breathe(call)
  }
  const before = (fence?.generations ?? []).map((_, at) => imageKey(imageId, fence?.generations.slice(0, at)))
  return {
    image: files.image, keys: [imageKey(imageId, fence?.generations), ...before.reverse()],
    fencedAt: fence?.last ?? -1, numbers, lost, nextNumber,
  }
}

/** What the file of an epoch's record holds; null where that is not the record that must be there. */
export function soundEpoch(files: ImageFiles, imageId: Buffer, number: number): StoredEpoch | null {
  let record: StoredEpoch | undefined
  if (isUnreadable(() => record = files.epoch(number)) || record === undefined) return null
  const isRight = record.kind === 'epoch' && record.number === number && record.imageId.equals(imageId)
  return isRight ? record : null
}

function pinnedAndGone(env: Env, files: ImageFiles): number[] {
  const there = new Set(files.epochNumbers())
  const pins = env.exists(files.layout.pins) ? env.readdir(files.layout.pins) : []
  return pins.filter((name) => /^\d{1,15}$/.test(name)).map(Number).filter((number) => !there.has(number))
}

function headsNext(files: ImageFiles): number {
  let head: StoredEpoch | undefined
  return isUnreadable(() => head = files.head()) ? 0 : head?.nextNumber ?? 0
}

/** Undefined where it cannot be read: then nobody knows which histories are the image's. */
function fenceOf(env: Env, files: ImageFiles): Fence | null | undefined {
  try {
    return readFence(env, files.layout)
  } catch (error) {
    if (!isCode(error, 'DAMAGED', 'NEWER_VERSION', 'IO')) throw error
    return undefined
  }
}
