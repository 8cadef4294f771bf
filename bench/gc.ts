/** How long does a collection of garbage take, and how much memory, beside borg on epochs of its own size? */
import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { Bench, BenchRun, Cell } from './rig/bench.ts'
import { timed } from './rig/figures.ts'
import { runBeside } from './rig/programs.ts'
import { makeSyntheticStore } from './rig/synthetic-store.ts'

const collecting = fileURLToPath(new URL('./rig/collecting.ts', import.meta.url))
const memoryBytesMax = 500e6

interface Collected {
  readonly ms: number
  readonly rssBytesMax: number
  /** The program's own memory, and mapped files; seen now and then. */
  readonly anonymousBytesMax: number
  readonly mappedBytesMax: number
  readonly removedEpochs: number
  readonly keptEpochs: number
  readonly liveRecords: number
  readonly droppedPacks: number
  readonly rewrittenPacks: number
  readonly steps: Record<string, number>
}

export const gc: Bench = {
  name: 'gc',
  question: 'how long does a collection of garbage take, and how much memory, beside borg?',
  async run(run) {
    const epochs = Number(process.env.HOLDFAST_GC_EPOCHS ?? (run.quick ? 100 : 1000))
    const chunks = Number(process.env.HOLDFAST_GC_CHUNKS ?? (run.quick ? 100_000 : 1_000_000))
    const directory = run.scratch.path('store')
    await makeSyntheticStore(directory, { epochs, chunks }, (text) => run.note(text))
    const all = collect(directory, { dryRun: true })
    const half = collect(directory, { keepLast: Math.floor(epochs / 2) })
    const theirs = await borg(run)
    return {
      tables: [
        {
          title: `${epochs} epochs, ${chunks} chunks`,
          columns: ['', 's', 'peak memory MB', 'its own MB', 'mapped files MB', 'records kept', 'epochs removed', 'packs dropped', 'rewritten'],
          rows: [row('nothing goes, dry run', all), row('half of the epochs go', half)],
        },
        ...theirs,
      ],
      targets: [{
        what: 'peak memory of the process', figure: Math.max(all.rssBytesMax, half.rssBytesMax) / 1e6, limit: memoryBytesMax / 1e6,
        kind: 'at most', unit: 'MB',
      }],
      lost: [],
      notes: [
        'The store is synthetic: its data chunks are 64 bytes each, its manifests and records are real ones.',
        'HOLDFAST_GC_EPOCHS and HOLDFAST_GC_CHUNKS set the scale: 10000 and 10000000 take some ten minutes to make.',
        ...(theirs.length === 0 ? ['borg is not here.'] : ['borg would take days to take in as many epochs: it gets few and small ones.']),
      ],
    }
  },
}

function collect(directory: string, request: object): Collected {
  const said = execFileSync(process.execPath, [collecting, directory, JSON.stringify(request)], { encoding: 'utf8', maxBuffer: 2 ** 28 })
  return JSON.parse(said) as Collected
}

function row(what: string, collected: Collected): Cell[] {
  const { ms, rssBytesMax, anonymousBytesMax, mappedBytesMax, liveRecords, removedEpochs, droppedPacks, rewrittenPacks } = collected
  const memory = [rssBytesMax, anonymousBytesMax, mappedBytesMax].map((bytes) => bytes / 1e6)
  return [what, ms / 1000, ...memory, liveRecords, removedEpochs, droppedPacks, rewrittenPacks]
}

/** Archives of a file of which a few chunks change each time; half of them are pruned, and the space is won back. */
async function borg(run: BenchRun): Promise<{ title: string; columns: string[]; rows: Cell[][] }[]> {
  if (spawnSync('borg', ['--version']).error !== undefined) return []
  const [archives, chunks, changed] = run.quick ? [6, 256, 20] : [30, 1024, 50]
  const source = run.scratch.path('source')
  const repository = run.scratch.path('repository')
  const env = { ...process.env, BORG_BASE_DIR: run.scratch.path('borg'), BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes' }
  mkdirSync(source)
  await runBeside('borg', ['init', '-e', 'none', repository], { env })
  const file = openSync(`${source}/disk`, 'w')
  for (let chunk = 0; chunk < chunks; chunk++) writeSync(file, randomBytes(65_536), 0, 65_536, chunk * 65_536)
  for (let archive = 0; archive < archives; archive++) {
    for (let at = 0; at < changed; at++) writeSync(file, randomBytes(65_536), 0, 65_536, ((archive * 7919 + at * 37) % chunks) * 65_536)
    const save = ['create', '-C', 'lz4', '--chunker-params', 'fixed,65536', '--files-cache', 'disabled', `${repository}::${archive}`, '.']
    await runBeside('borg', save, { cwd: source, env })
    run.note(`archive ${archive + 1} of ${archives}`)
  }
  closeSync(file)
  const prune = await timed(() => runBeside('borg', ['prune', '--keep-last', `${archives / 2}`, repository], { env }))
  const compact = await timed(() => runBeside('borg', ['compact', repository], { env }))
  const records = chunks + archives * changed
  return [{
    title: `borg, ${archives} archives, ${records} chunks: half of the archives go`, columns: ['', 's', 'us a chunk'],
    rows: [['prune', prune.ms / 1000, prune.ms * 1000 / records], ['compact', compact.ms / 1000, compact.ms * 1000 / records]],
  }]
}
