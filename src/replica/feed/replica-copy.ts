/**
 * Fills a replica from the authority with what this store cannot give it: packs and index runs of other stores, and
 * records of images that are not here, or were published before this store had them. Packs first, records last, so
 * that a copy that ends half-way holds nothing that leads nowhere. What is there already is left alone.
 */
import { isCode } from '../../errors.ts'
import { epochBatchBytesMax } from '../../limits.ts'
import {
  epochsDirectory, generationDirectory, generationParts, imageDirectory, indexesDirectory, ownerName, packsDirectory,
  parseGenerationName,
} from '../layout.ts'
import { packsAtOnceMax } from '../limits.ts'
import { listEntries, listNames } from '../list-names.ts'
import { ownerRecordBytesMax } from '../owner-record.ts'
import { joinPath } from '../paths.ts'
import { readObject } from '../read-object.ts'
import type { CallOptions, Replica, ReplicaEntry } from '../replica.ts'
import { inGroups } from './groups.ts'
import { putIn } from './pack-feed.ts'

export interface CopyParts {
  readonly from: Replica
  readonly to: Replica
  /** Directories of packs, runs and generations that this store brings itself. */
  readonly isOurs: (directory: string) => boolean
}

/** Returns the bytes sent. Errors: those of both replicas. */
export async function copyReplica(parts: CopyParts, call: CallOptions): Promise<number> {
  let bytes = 0
  for (const place of [packsDirectory, indexesDirectory]) {
    const directories = (await listNames(parts.from, place, call)).map((name) => joinPath(place, name))
    await inGroups(directories.filter((each) => !parts.isOurs(each)), packsAtOnceMax, async (directory) => {
      bytes += await copyDirectory(parts, directory, directory, call)
    })
  }
  for (const key of await listNames(parts.from, epochsDirectory, call)) bytes += await copyImage(parts, key, call)
  return bytes
}

/** Generation by generation, each as it stands on the authority: open or closed. */
async function copyImage(parts: CopyParts, key: string, call: CallOptions): Promise<number> {
  const { from, to } = parts
  let bytes = 0
  for (const name of await listNames(from, imageDirectory(key), call)) {
    const number = parseGenerationName(name)
    if (number === undefined || parts.isOurs(generationDirectory(key, number))) continue
    const [open, closed] = generationParts(key, number)
    if (await from.stat(open, call) !== null) bytes += await copyOpen(parts, key, number, call)
    else {
      if (await to.stat(open, call) !== null) await to.closeGeneration(generationDirectory(key, number), call)
      bytes += await copyDirectory(parts, closed, closed, call)
    }
  }
  return bytes
}

/** Its owner may follow it here, too, and then finds it as its own. */
async function copyOpen({ from, to }: CopyParts, key: string, number: number, call: CallOptions): Promise<number> {
  const directory = generationDirectory(key, number)
  const [open, closed] = generationParts(key, number)
  if (await to.stat(closed, call) !== null) return 0
  const owner = await readObject(from, joinPath(open, ownerName), ownerRecordBytesMax, call)
  if (await to.stat(open, call) === null) {
    await to.makeDirectory(imageDirectory(key), call)
    await to.openGeneration(directory, ownerName, owner, call)
  }
  const there = new Set(await listNames(to, open, call))
  let copied = 0
  for (const { name } of await objectsOf(from, open, call)) {
    if (there.has(name)) continue
    const bytes = await readObject(from, joinPath(open, name), epochBatchBytesMax, call)
    await to.publish(directory, name, bytes, call)
    copied += bytes.length
  }
  return copied
}

async function copyDirectory(
  { from, to }: CopyParts, source: string, target: string, call: CallOptions,
): Promise<number> {
  const there = new Set(await listNames(to, target, call))
  let copied = 0
  for (const { name, bytes } of await objectsOf(from, source, call)) {
    if (there.has(name)) continue
    try {
      const path = joinPath(source, name)
      await putIn(to, target, name, { bytes, open: () => from.read(path, { ...call }) }, call)
      copied += bytes
    } catch (error) {
      // It was merged, or made whole, since it was listed: what took its place comes with the next copy.
      if (!isCode(error, 'EXISTS', 'NOT_FOUND')) throw error
    }
  }
  return copied
}

async function objectsOf(replica: Replica, directory: string, call: CallOptions): Promise<ReplicaEntry[]> {
  return (await listEntries(replica, directory, call)).filter(({ kind }) => kind === 'object')
}
