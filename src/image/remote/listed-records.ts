/** The records that the prefetch list of an epoch names as needed first. */
import { isCode } from '../../errors.ts'
import type { RunEntry } from '../../format/index-run.ts'
import { decodePrefetchList } from '../../format/prefetch-list.ts'
import type { PrefetchList } from '../../format/prefetch-list.ts'
import { kindNode } from '../../format/pack-record.ts'
import { prefetchListBytesMax } from '../../limits.ts'
import type { ReplicaImage } from '../../replica/image-list.ts'
import { prefetchPath } from '../../replica/layout.ts'
import { readObject } from '../../replica/read-object.ts'
import type { Replica } from '../../replica/replica.ts'
import type { CallOptions } from '../types.ts'
import type { Fetched } from './fetch-client.ts'
import { aheadBytesMax } from './limits.ts'
import type { RemoteRecords } from './remote-records.ts'

/** Both reject as `RemoteRecords.fetchAhead` and the replica. */
export interface ListedRecords {
  /** Null where there is none of use. */
  readonly list: Promise<PrefetchList | null>
  /**
   * Its first records, in few large reads: nodes come in the first, beside the second; each of the others begins when
   * the one before is done.
   */
  readonly windows: Promise<readonly Promise<Fetched>[]>
}

/** Of a list that helps nobody. */
const uselessCodes = ['DAMAGED', 'BAD_FORMAT', 'NEWER_VERSION', 'REPLICA_FAULT', 'KEY_NEEDED', 'WRONG_DOMAIN']

/** `notify` is given a sentence when the list is damaged. */
export function fetchListed(
  remote: RemoteRecords, replica: Replica, image: ReplicaImage, number: number, notify: (notice: string) => void,
  options: CallOptions,
): ListedRecords {
  const list = readList(replica, image, number, notify, options)
  const windows = list.then((read) => {
    const first = read?.entries.slice(0, read.firstCount) ?? []
    const [nodes, others] = [first.filter(isNode), first.filter((entry) => !isNode(entry))]
    const fetched = nodes.length === 0 ? [] : [remote.fetchAhead(nodes)]
    let before: Promise<unknown> = Promise.resolve()
    for (const window of windowsOf(others)) {
      const next = before.then(() => remote.fetchAhead(window))
      fetched.push(next)
      before = next
    }
    // Whoever waits for one is told.
    for (const each of fetched) each.catch(() => undefined)
    return fetched
  })
  for (const each of [list, windows]) each.catch(() => undefined)
  return { list, windows }
}

/** It only helps: one that is missing or damaged counts as none. */
async function readList(
  replica: Replica, image: ReplicaImage, number: number, notify: (notice: string) => void, options: CallOptions,
): Promise<PrefetchList | null> {
  const path = prefetchPath(image.key, number)
  try {
    const list = decodePrefetchList(await readObject(replica, path, prefetchListBytesMax, options), path)
    return list.imageId.equals(image.imageId) && list.number === number ? list : null
  } catch (error) {
    if (isCode(error, 'NOT_FOUND')) return null
    if (!isCode(error, ...uselessCodes)) throw error
    notify(`the epoch's prefetch list is of no use: ${path} is damaged`)
    return null
  }
}

/** Small, and the way to all else: whoever serves the image waits for nodes alone. */
function isNode({ place }: RunEntry): boolean {
  return place.kind === kindNode
}

function windowsOf(entries: readonly RunEntry[]): RunEntry[][] {
  const windows: RunEntry[][] = []
  let bytes = aheadBytesMax
  for (const entry of entries) {
    bytes += entry.place.recordBytes
    if (bytes > aheadBytesMax) {
      windows.push([])
      bytes = entry.place.recordBytes
    }
    windows[windows.length - 1].push(entry)
  }
  return windows
}
