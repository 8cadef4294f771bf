/** How fast is the chunk store, beside what its parts can do? LZ4 and BLAKE3 alone, on the same bytes. */
import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { compressWhole, decompressWhole } from '../src/chunk/codec.ts'
import { digest } from '../src/chunk/digest.ts'
import { systemEnv } from '../src/env/system.ts'
import { MIB, chunkBytes } from '../src/limits.ts'
import { initStore } from '../src/store/identity.ts'
import { openChunkReader, openChunkStore, rebuildIndex } from '../src/store/open.ts'
import type { Bench, Cell } from './rig/bench.ts'
import { timed } from './rig/figures.ts'

const env = systemEnv()

type Measure = (what: string, bytes: number, call: () => unknown) => Promise<void>

export const store: Bench = {
  name: 'store',
  question: 'how fast is the chunk store, beside what its parts can do?',
  async run({ quick, scratch }) {
    const rows: Cell[][] = []
    const measure: Measure = async (what, bytes, call) => {
      const { ms } = await timed(call)
      rows.push([what, ms, bytes === 0 ? null : bytes / 1e6 / (ms / 1e3)])
    }
    const chunks = machineCode((quick ? 16 : 96) * MIB)
    const directory = scratch.path('store')
    initStore(env, directory)
    await measureParts(chunks, measure)
    const ids = await measureWriter(directory, chunks, measure)
    await measureReader(directory, ids, measure)
    await measure('open', 0, async () => (await openChunkStore(env, directory)).close())
    await measure('rebuild of the index', 0, () => rebuildIndex(env, directory))
    return {
      tables: [{
        title: `${chunks.length} chunks of machine code, one thread`, columns: ['', 'ms', 'MB/s'], rows,
      }],
      targets: [],
      lost: [],
      notes: ['A put hashes, looks up, encodes, and decodes and hashes again what it is about to write.'],
    }
  },
}

async function measureParts(chunks: Buffer[], measure: Measure): Promise<void> {
  const bytes = chunks.length * chunkBytes
  const packed: (Buffer | undefined)[] = []
  await measure('BLAKE3 alone', bytes, () => chunks.forEach((chunk) => digest(chunk)))
  await measure('LZ4 alone', bytes, () => chunks.forEach((chunk) => packed.push(compressWhole(chunk))))
  await measure('LZ4 decoding alone', bytes, () => packed.forEach((each) => each && decompressWhole(each, chunkBytes)))
}

/** The ids of the chunks and of their sixth version, a delta of the largest depth. */
async function measureWriter(
  directory: string, chunks: Buffer[], measure: Measure,
): Promise<{ whole: Buffer[]; deep: Buffer[] }> {
  const bytes = chunks.length * chunkBytes
  await using writer = await openChunkStore(env, directory)
  const whole: Buffer[] = []
  await measure('put, new', bytes, () => chunks.forEach((chunk) => whole.push(writer.put(chunk, 'data').id)))
  await measure('sync', bytes, () => writer.sync())
  await measure('put, hits', bytes, () => chunks.forEach((chunk) => writer.put(chunk, 'data')))
  let bases = whole
  let changed = chunks
  for (let version = 2; version <= 6; version++) {
    changed = changed.map((chunk) => dirty(chunk, version))
    const next: Buffer[] = []
    const put = (chunk: Buffer, at: number): unknown => next.push(writer.put(chunk, 'data', bases[at]).id)
    await measure(`put, version ${version}`, bytes, () => changed.forEach(put))
    await writer.sync()
    bases = next
  }
  return { whole, deep: bases }
}

async function measureReader(
  directory: string, ids: { whole: Buffer[]; deep: Buffer[] }, measure: Measure,
): Promise<void> {
  await using reader = await openChunkReader(env, directory)
  const bytes = ids.whole.length * chunkBytes
  await measure('read, whole', bytes, () => ids.whole.forEach((id) => reader.read(id)))
  await measure('read, version 6', bytes, () => ids.deep.forEach((id) => reader.read(id)))
}

function machineCode(bytes: number): Buffer[] {
  const file = readFileSync(process.execPath)
  const chunks: Buffer[] = []
  for (let at = 0; chunks.length * chunkBytes < bytes; at = (at + chunkBytes) % (file.length - chunkBytes)) {
    const chunk = Buffer.allocUnsafeSlow(chunkBytes)
    file.copy(chunk, 0, at, at + chunkBytes)
    chunk.writeUInt32LE(chunks.length, 100)
    chunks.push(chunk)
  }
  return chunks
}

/** One changed 4 KiB page: 300 bytes scattered in it. */
function dirty(chunk: Buffer, version: number): Buffer {
  const changed = Buffer.from(chunk)
  const page = (version * 5 % 16) * 4096
  for (let at = 0; at < 300; at++) changed[page + ((at * 97) % 4096)] ^= (at * version + 1) & 0xff
  return changed
}
