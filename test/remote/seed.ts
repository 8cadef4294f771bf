/** What a replicator would have put on a replica for a store, put there at once, in the forms that there are. */
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { systemEnv } from '../../src/env/system.ts'
import { encodeEpochBatch } from '../../src/format/epoch-batch.ts'
import { epochIdentityOf } from '../../src/format/epoch.ts'
import { compareEntries, encodeIndexRun } from '../../src/format/index-run.ts'
import type { RunEntry } from '../../src/format/index-run.ts'
import { decodePackHeader, packHeaderBytes } from '../../src/format/pack-header.ts'
import { ImageFiles } from '../../src/image/image-files.ts'
import { prefetchListOf } from '../../src/image/prefetch.ts'
import { joinDomain } from '../../src/replica/domain.ts'
import {
  batchName, generationDirectory, imageDirectory, imageKey, indexDirectory, indexRunName, packDirectory, prefetchDirectory, prefetchPath, rangeName, wholeName,
} from '../../src/replica/layout.ts'
import { encodeOwner } from '../../src/replica/owner-record.ts'
import type { Replica } from '../../src/replica/replica.ts'
import { readIdentity } from '../../src/store/identity.ts'
import { StoreLayout } from '../../src/store/layout.ts'
import { openChunkReader } from '../../src/store/open.ts'
import { scanRecords } from '../../src/store/pack-scan.ts'

const env = systemEnv()

export interface Seeding {
  /** Packs as ranges of about so many bytes instead of whole ones. */
  rangeBytes?: number
  withoutPrefetch?: boolean
  /** Entries of one index run; several runs where there are more. */
  runEntries?: number
}

/** The store is closed, and everything in it synced. */
export async function seed(replica: Replica, directory: string, image: string, options: Seeding = {}): Promise<void> {
  const layout = new StoreLayout(directory)
  const { domainId, keyId, storeId } = readIdentity(env, layout)
  await replica.makeDirectory('')
  await joinDomain(replica, { domainId, keyId })
  const entries = await seedPacks(replica, layout, options)
  await replica.makeDirectory(indexDirectory(storeId))
  entries.sort(compareEntries)
  const count = options.runEntries ?? 100_000
  for (let number = 0; number * count < entries.length; number++) {
    const run = encodeIndexRun({ domainId, keyId }, entries.slice(number * count, (number + 1) * count))
    await replica.put(`${indexDirectory(storeId)}/${indexRunName({ level: 0, number })}`, run)
  }
  await seedImage(replica, directory, storeId, image)
  if (options.withoutPrefetch === true) return
  await using reader = await openChunkReader(env, directory)
  const files = new ImageFiles(env, directory, image, null)
  const key = imageKey(files.identity().id)
  await replica.makeDirectory(`${prefetchDirectory}/${key}`)
  for (const epoch of files.epochNumbers()) {
    const list = prefetchListOf(env, directory, reader, image, epoch)
    if (list !== null) await replica.put(prefetchPath(key, epoch), list)
  }
}

async function seedPacks(replica: Replica, layout: StoreLayout, { rangeBytes }: Seeding): Promise<RunEntry[]> {
  const entries: RunEntry[] = []
  for (const name of fs.readdirSync(layout.packs)) {
    const path = join(layout.packs, name)
    const bytes = fs.readFileSync(path)
    const { packId, isCopied } = decodePackHeader(bytes.subarray(0, packHeaderBytes))
    if (isCopied) continue
    await replica.makeDirectory(packDirectory(packId))
    const ends: number[] = []
    using file = env.open(path, 'read')
    for (const found of scanRecords(file, packHeaderBytes, bytes.length)) {
      if (found.type === 'gap') continue
      const { header, offset, recordBytes } = found
      entries.push({ id: Buffer.from(header.id), packId, place: { offset, recordBytes, kind: header.kind, codec: header.codec, depth: header.depth } })
      ends.push(offset + recordBytes)
    }
    if (rangeBytes === undefined) {
      await replica.put(`${packDirectory(packId)}/${wholeName}`, bytes)
      continue
    }
    for (let start = 0, at = 0; at < ends.length; at++) {
      if (ends[at] - start < rangeBytes && at < ends.length - 1) continue
      const range = { offset: start, bytes: ends[at] - start }
      await replica.put(`${packDirectory(packId)}/${rangeName(range)}`, bytes.subarray(start, ends[at]))
      start = ends[at]
    }
  }
  return entries
}

async function seedImage(replica: Replica, directory: string, storeId: Buffer, image: string): Promise<void> {
  const files = new ImageFiles(env, directory, image, null)
  const { id: imageId, origin, createdMs } = files.identity()
  const key = imageKey(imageId)
  const numbers = files.epochNumbers()
  const records = numbers.map((number) => epochIdentityOf(fs.readFileSync(files.layout.epoch(number))))
  const { domainId, keyId } = files.epoch(numbers[0])
  await replica.makeDirectory(imageDirectory(key))
  const self = randomBytes(16).toString('hex')
  const owner = encodeOwner({ self, storeId, imageId, image, origin, createdMs, last: -1, openedMs: Date.now() })
  await replica.openGeneration(generationDirectory(key, 1), 'owner', owner)
  const name = batchName({ first: numbers[0], last: numbers[numbers.length - 1], count: numbers.length })
  await replica.publish(generationDirectory(key, 1), name, encodeEpochBatch({ domainId, keyId, imageId, packs: [], records }))
}
