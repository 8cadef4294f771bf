/** How long does a collection of garbage take, and how much memory, beside borg on the same epochs? */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { compileCacheDirectory } from '../src/daemon/user-cache.ts'
import { openStore } from '../src/index.ts'
import type { Bench, Cell } from './rig/bench.ts'
import { collectSameEpochs } from './rig/same-epochs.ts'
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
    await compileAhead(run.scratch.path('empty'))
    const all = collect(directory, { dryRun: true })
    const half = collect(directory, { keepLast: Math.floor(epochs / 2) })
    const same = await collectSameEpochs(run)
    return {
      tables: [
        {
          title: `${epochs} epochs, ${chunks} chunks`,
          columns: ['', 's', 'peak memory MB', 'its own MB', 'mapped files MB', 'records kept', 'epochs removed', 'packs dropped', 'rewritten'],
          rows: [row('nothing goes, dry run', all), row('half of the epochs go', half)],
        },
        ...(same === null ? [] : [same.table]),
      ],
      targets: [{
        what: 'peak memory of the process', figure: Math.max(all.rssBytesMax, half.rssBytesMax) / 1e6, limit: memoryBytesMax / 1e6,
        kind: 'at most', unit: 'MB',
      }],
      lost: same?.lost ?? [],
      notes: [
        'The store is synthetic: its data chunks are 512 bytes each, its manifests and records are real ones.',
        'HOLDFAST_GC_EPOCHS and HOLDFAST_GC_CHUNKS set the scale: 10000 and 10000000 take some ten minutes to make, ' +
          'and 7 GB.',
        same === null ? 'Not installed, so not measured: borg.' : 'borg would take days to take in as many epochs: the ' +
          'table beside it has few and small ones, which both hold. Times are of whole commands, their start included. ' +
          'By default holdfast rewrites packs (up to 134 MB) of which a quarter is garbage, borg segments (up to 524 MB) ' +
          'of which a tenth is; each way begins with a copy of the same bytes.',
      ],
    }
  },
}

/** A daemon finds its code compiled by the one before: what compiles it takes 30 MB. */
async function compileAhead(directory: string): Promise<void> {
  const store = await openStore(directory, { create: true })
  await store.close()
  collect(directory, { dryRun: true })
}

function collect(directory: string, request: object): Collected {
  const said = execFileSync(process.execPath, [collecting, directory, JSON.stringify(request)], {
    encoding: 'utf8', maxBuffer: 2 ** 28, env: { ...process.env, NODE_COMPILE_CACHE: compileCacheDirectory(process.env) },
  })
  return JSON.parse(said) as Collected
}

function row(what: string, collected: Collected): Cell[] {
  const { ms, rssBytesMax, anonymousBytesMax, mappedBytesMax, liveRecords, removedEpochs, droppedPacks, rewrittenPacks } = collected
  const memory = [rssBytesMax, anonymousBytesMax, mappedBytesMax].map((bytes) => bytes / 1e6)
  return [what, ms / 1000, ...memory, liveRecords, removedEpochs, droppedPacks, rewrittenPacks]
}
