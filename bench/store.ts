/**
 * How fast is the chunk store, beside what its parts can do? `node bench/store.ts [MB]`
 * Baselines in the same run: LZ4 alone, BLAKE3 alone, LZ4 decoding alone, on the same bytes.
 */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compressWhole, decompressWhole } from '../src/chunk/codec.ts'
import { digest } from '../src/chunk/digest.ts'
import { systemEnv } from '../src/env/system.ts'
import { MIB, chunkBytes } from '../src/limits.ts'
import { initStore } from '../src/store/identity.ts'
import { openChunkReader, openChunkStore, rebuildIndex } from '../src/store/open.ts'

const env = systemEnv()
const totalBytes = Number(process.argv[2] ?? 96) * MIB
const directory = fs.mkdtempSync(join(tmpdir(), 'holdfast-bench-'))

try {
  await run()
} finally {
  fs.rmSync(directory, { recursive: true, force: true })
}

async function run(): Promise<void> {
  const chunks = machineCode(totalBytes)
  say('BLAKE3 alone', totalBytes, time(() => chunks.forEach((chunk) => digest(chunk))))
  const packed: (Buffer | undefined)[] = []
  say('LZ4 alone', totalBytes, time(() => chunks.forEach((chunk) => packed.push(compressWhole(chunk)))))
  const decodeAll = () => packed.forEach((bytes) => bytes && decompressWhole(bytes, chunkBytes))
  say('LZ4 decoding alone', totalBytes, time(decodeAll))
  initStore(env, directory)
  const ids: Buffer[] = []
  {
    await using store = await openChunkStore(env, directory)
    say('put, new', totalBytes, time(() => chunks.forEach((chunk) => ids.push(store.put(chunk, 'data').id))))
    say('sync', totalBytes, await timeAsync(() => store.sync()))
    say('put, hits', totalBytes, time(() => chunks.forEach((chunk) => store.put(chunk, 'data'))))
    const changed = chunks.map((chunk) => dirty(chunk, 1))
    const next: Buffer[] = []
    for (let generation = 2; generation <= 6; generation++) {
      const from = next.splice(0)
      const bases = generation === 2 ? ids : from
      const ms = time(() => changed.forEach((chunk, at) => next.push(store.put(chunk, 'data', bases[at]).id)))
      say(`put, version ${generation}`, totalBytes, ms)
      changed.forEach((chunk, at) => (changed[at] = dirty(chunk, generation)))
      await store.sync()
    }
    process.stdout.write(`${JSON.stringify(store.stats())}\n`)
    ids.push(...next)
  }
  {
    await using reader = await openChunkReader(env, directory)
    say('read, whole', totalBytes, time(() => ids.slice(0, chunks.length).forEach((id) => reader.read(id))))
    say('read, depth 3', totalBytes, time(() => ids.slice(chunks.length).forEach((id) => reader.read(id))))
  }
  say('open', 0, await timeAsync(async () => (await openChunkStore(env, directory)).close()))
  say('rebuild of the index', 0, await timeAsync(() => rebuildIndex(env, directory)))
}

function machineCode(bytes: number): Buffer[] {
  const file = fs.readFileSync(process.execPath)
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
function dirty(chunk: Buffer, generation: number): Buffer {
  const changed = Buffer.from(chunk)
  const page = (generation * 5 % 16) * 4096
  for (let at = 0; at < 300; at++) changed[page + ((at * 97) % 4096)] ^= (at * generation + 1) & 0xff
  return changed
}

function time(call: () => void): number {
  const start = env.monotonicMs()
  call()
  return env.monotonicMs() - start
}

async function timeAsync(call: () => Promise<unknown>): Promise<number> {
  const start = env.monotonicMs()
  await call()
  return env.monotonicMs() - start
}

function say(what: string, bytes: number, ms: number): void {
  const rate = bytes === 0 ? '' : `${(bytes / 1e6 / (ms / 1e3)).toFixed(0)} MB/s`
  process.stdout.write(`${what.padEnd(26)} ${ms.toFixed(0).padStart(7)} ms  ${rate}\n`)
}
