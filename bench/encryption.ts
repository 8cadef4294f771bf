/** What does encryption cost? The same work on a plain and on an encrypted store, in turns. */
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { closeSync, fdatasyncSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Secret } from '../src/crypto/secret.ts'
import { systemEnv } from '../src/env/system.ts'
import { MIB, chunkBytes } from '../src/limits.ts'
import { initStore } from '../src/store/identity.ts'
import { openChunkReader, openChunkStore } from '../src/store/open.ts'
import type { Bench, BenchRun, Cell } from './rig/bench.ts'
import { median, timed } from './rig/figures.ts'
import { BenchStore } from './rig/holdfast.ts'
import { BenchMachine, plainShape } from './rig/machine.ts'

const env = systemEnv()
const kinds = ['plain', 'encrypted'] as const
type Kind = (typeof kinds)[number]

/** Figures of one kind by what they measure. */
type Figures = Map<string, number[]>

export const encryption: Bench = {
  name: 'encryption',
  question: 'what does encryption cost?',
  async run(run) {
    const keyFile = run.scratch.path('key')
    writeFileSync(keyFile, randomBytes(32))
    const figures = { plain: new Map<string, number[]>(), encrypted: new Map<string, number[]>() }
    // The first round warms up and does not count; then each kind begins as often as the other.
    for (let round = 0; round <= (run.quick ? 4 : 8); round += 1) {
      for (const kind of round % 2 === 0 ? kinds : kinds.toReversed()) {
        const secret = kind === 'plain' ? undefined : { kind: 'keyFile' as const, bytes: readFileSync(keyFile) }
        await measureStore(run, `${kind}-${round}`, secret, round === 0 ? new Map() : figures[kind])
      }
    }
    for (const kind of kinds) await measureLog(run, kind, kind === 'plain' ? undefined : keyFile, figures[kind])
    for (const kind of kinds) await measurePause(run, kind, kind === 'plain' ? undefined : keyFile, figures[kind])
    const names = [...figures.plain.keys()]
    const rows = names.map((name): Cell[] => {
      const [plain, sealed] = kinds.map((kind) => median(figures[kind].get(name) ?? []))
      return [name, plain, sealed, sealed / plain]
    })
    return {
      tables: [{ title: 'Medians of the rounds', columns: ['', 'plain', 'encrypted', 'ratio'], rows }],
      targets: [],
      lost: [],
      notes: [
        'Chunks are machine code; a version changes a page of each. Store figures are of one thread. The log is ' +
          'written through a mount, a record a write, and synced once at the end; its commit is a seal.',
        'The guest is that of the bench pause; its first checkpoint, which stores the whole memory, is left out.',
      ],
    }
  },
}

async function measureStore(
  run: BenchRun, name: string, secret: Secret | undefined, figures: Figures,
): Promise<void> {
  const directory = run.scratch.path(`store-${name}`)
  initStore(env, directory, { secret })
  const chunks = machineCode((run.quick ? 8 : 32) * MIB)
  const note = async (what: string, work: () => unknown): Promise<void> => {
    const { ms } = await timed(work)
    add(figures, what, chunks.length * chunkBytes / 1e3 / ms)
  }
  const ids: Buffer[] = []
  const deltas: Buffer[] = []
  {
    await using store = await openChunkStore(env, directory, { secret })
    await note('commit of new chunks, MB/s', async () => {
      for (const chunk of chunks) ids.push(store.put(chunk, 'data').id)
      await store.sync()
    })
    const changed = chunks.map(changedPage)
    await note('commit of versions, MB/s', async () => {
      changed.forEach((chunk, at) => deltas.push(store.put(chunk, 'data', ids[at]).id))
      await store.sync()
    })
  }
  await using reader = await openChunkReader(env, directory, undefined, secret)
  await note('read of whole chunks, MB/s', () => ids.forEach((id) => reader.read(id)))
  await note('read of versions, MB/s', () => deltas.forEach((id) => reader.read(id)))
}

async function measureLog(run: BenchRun, kind: Kind, keyFile: string | undefined, figures: Figures): Promise<void> {
  run.note(`the log of a mount, ${kind}`)
  const store = await BenchStore.make(run.scratch, `log-${kind}`, keyFile)
  await store.create('image', [])
  await using connection = await store.connect()
  const image = connection.image('image')
  const directory = await store.mount(image, `mount-${kind}`)
  for (let round = 0; round < (run.quick ? 3 : 7); round += 1) {
    const begin = performance.now()
    for (const [what, bytes, count] of [['1 MiB', MIB, 48], ['4 KiB', 4096, 4096]] as const) {
      const payload = randomBytes(bytes)
      const { ms } = await timed(() => writeAll(join(directory, what.replace(' ', '')), payload, count))
      add(figures, `log, writes of ${what}, MB/s`, bytes * count / 1e3 / ms)
    }
    await image.seal()
    add(figures, 'all of these and a seal, ms', performance.now() - begin)
  }
  await connection.unmount(directory)
  await store.stopDaemon()
}

async function measurePause(run: BenchRun, kind: Kind, keyFile: string | undefined, figures: Figures): Promise<void> {
  await using machine = await BenchMachine.start(run, { ...plainShape, name: `pause-${kind}`, keyFile })
  await machine.image.checkpoint()
  for (let count = 0; count < (run.quick ? 6 : 20); count += 1) {
    const { pauseMs, parts } = await machine.image.checkpoint()
    add(figures, 'pause of a checkpoint, ms', pauseMs)
    add(figures, 'commit of a checkpoint, ms', parts.commit)
  }
}

function writeAll(path: string, payload: Buffer, count: number): void {
  const fd = openSync(path, 'w')
  try {
    for (let at = 0; at < count; at += 1) {
      payload.writeUInt32LE(at)
      writeSync(fd, payload, 0, payload.length, at * payload.length)
    }
    fdatasyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

function machineCode(bytes: number): Buffer[] {
  const file = readFileSync(process.execPath)
  return Array.from({ length: bytes / chunkBytes }, (_, index) => {
    const chunk = Buffer.allocUnsafeSlow(chunkBytes)
    file.copy(chunk, 0, (index * chunkBytes) % (file.length - chunkBytes))
    chunk.writeUInt32LE(index, 100)
    return chunk
  })
}

function changedPage(chunk: Buffer): Buffer {
  const changed = Buffer.from(chunk)
  for (let at = 0; at < 300; at += 1) changed[(at * 97) % 4096] ^= at + 1
  return changed
}

function add(figures: Figures, what: string, figure: number): void {
  figures.set(what, [...figures.get(what) ?? [], figure])
}
