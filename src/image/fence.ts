/**
 * An image that another writer has taken over: `images/NAME/fenced`. What was sealed here since is a history of its
 * own, which the user sees as NAME.fenced-GENERATION, and so is the head. Nothing of it is moved or lost: the directory
 * gets that name, at once or when nobody serves the head any more. JSON:
 *
 *   holdfast "fence", version 1
 *   generations   those of ours that were closed, rising; more than one where the fork was taken over, too
 *   last          the last epoch that belongs to the history that was taken over, or -1
 *   name          what the image is to be called
 */
import { Buffer } from 'node:buffer'
import { join } from 'node:path'
import type { Env } from '../env/env.ts'
import { publishFile, readWhole } from '../env/publish.ts'
import { HoldfastError, isCode } from '../errors.ts'
import { imageNameBytesMax, KIB } from '../limits.ts'
import type { ImageLayout } from './layout.ts'

export interface Fence {
  readonly generations: readonly number[]
  readonly last: number
  readonly name: string
}

const fenceVersion = 1

/** Null where there is none. Errors: DAMAGED, NEWER_VERSION. */
export function readFence(env: Env, layout: ImageLayout): Fence | null {
  try {
    return parse(Buffer.from(readWhole(env, layout.fence, 64 * KIB)).toString(), layout.fence)
  } catch (error) {
    if (isCode(error, 'NOT_FOUND')) return null
    throw error
  }
}

/** Durable on return. */
export function writeFence(env: Env, layout: ImageLayout, fence: Fence): void {
  const text = JSON.stringify({ holdfast: 'fence', version: fenceVersion, ...fence })
  publishFile(env, layout.fence, Buffer.from(`${text}\n`))
}

/** A name that no image has, from the one it had when it was taken over. */
export function fencedName(image: string, generation: number, taken: readonly string[]): string {
  for (let count = 1; ; count++) {
    const suffix = `.fenced-${generation}${count === 1 ? '' : `-${count}`}`
    let stem = image
    while (Buffer.byteLength(stem + suffix) > imageNameBytesMax) stem = [...stem].slice(0, -1).join('')
    if (!taken.includes(stem + suffix)) return stem + suffix
  }
}

/** Gives an image that nobody serves the name of its fence. */
export function renameFenced(env: Env, storeDirectory: string, from: string, to: string): void {
  const images = join(storeDirectory, 'images')
  env.rename(join(images, from), join(images, to))
  env.syncDirectory(images)
}

function parse(text: string, path: string): Fence {
  const fields = jsonIn(text, path)
  const { version, generations, last, name } = fields
  if (typeof version === 'number' && version > fenceVersion) {
    throw new HoldfastError('NEWER_VERSION', `${path} was written by a newer Holdfast: use that one`)
  }
  const isSound = Array.isArray(generations) && generations.length > 0 && generations.every(Number.isSafeInteger) &&
    typeof last === 'number' && typeof name === 'string'
  if (!isSound) throw new HoldfastError('DAMAGED', `${path} says nothing sensible`)
  return { generations, last, name }
}

function jsonIn(text: string, path: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch (error) {
    throw new HoldfastError('DAMAGED', `${path} is no JSON`, { cause: error })
  }
}
