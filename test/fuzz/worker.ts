/**
 * Runs all targets in a thread of its own, which its parent watches: a count that no longer grows is a hang, and the
 * input lies in memory that both share.
 */
import { Buffer } from 'node:buffer'
import { parentPort, workerData } from 'node:worker_threads'
import { Random } from '../random.ts'
import { formatTargets } from './format-targets.ts'
import { mutated } from './mutations.ts'
import { peerTargets } from './peer-targets.ts'
import type { FuzzTarget } from './target.ts'

export interface FuzzJob {
  readonly seed: number
  readonly seconds: number
  /** Two words, the count of inputs and the length of the present one; then the name of its target and itself. */
  readonly shared: SharedArrayBuffer
}

export interface FuzzResult {
  readonly executions: Record<string, number>
  readonly failures: string[]
}

const { seed, seconds, shared } = workerData as FuzzJob
const words = new Int32Array(shared, 0, 2)
const present = Buffer.from(shared, 8)
const random = new Random(seed)
const failures: string[] = []
const executions: Record<string, number> = {}
const failuresMax = 10
/** One fault is told of once, however often it is met. */
const known = new Set<string>()
const spareBytes = 256 * 1024
const sliceMs = 20

let largestBytes = 0
watchAllocations()
const targets = [...formatTargets, ...peerTargets]
for (const target of targets) for (const input of target.seeds) await tryInput(target, Buffer.from(input))
const endMs = Date.now() + seconds * 1000
while (Date.now() < endMs && failures.length < failuresMax) {
  for (const target of targets) await spell(target)
}
parentPort?.postMessage({ executions, failures } satisfies FuzzResult)

async function spell(target: FuzzTarget): Promise<void> {
  const seeds = target.seeds.length === 0 ? [Buffer.from('{}')] : target.seeds
  for (const untilMs = Date.now() + sliceMs; Date.now() < untilMs;) {
    const input = mutated(random, random.pick(seeds), random.pick(seeds))
    if (random.below(2) === 0) target.reseal?.(input)
    await tryInput(target, input)
  }
}

async function tryInput(target: FuzzTarget, input: Buffer): Promise<void> {
  executions[target.name] = (executions[target.name] ?? 0) + 1
  words[1] = Buffer.concat([Buffer.from(`${target.name}: `), Buffer.from(input.toString('hex'))]).copy(present)
  Atomics.add(words, 0, 1)
  largestBytes = 0
  try {
    await target.run(input)
  } catch (error) {
    fail(target, input, error instanceof Error ? error.stack ?? error.message : String(error))
  }
  const bytesMax = 4 * input.length + spareBytes + (target.extraBytesMax ?? 0)
  if (largestBytes > bytesMax) fail(target, input, `asked for ${largestBytes} bytes`)
}

function fail(target: FuzzTarget, input: Buffer, why: string): void {
  const kind = `${target.name} ${why.split('\n').slice(0, 2).join()}`
  if (known.has(kind)) return
  known.add(kind)
  failures.push(`${target.name}: ${input.toString('hex').slice(0, 4000)}\n${why}`)
}

/** Buffers are where lengths from outside turn into memory. */
function watchAllocations(): void {
  for (const name of ['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const) {
    const allocate = Buffer[name].bind(Buffer) as (bytes: number, ...rest: never[]) => Buffer
    Object.defineProperty(Buffer, name, {
      value: (bytes: number, ...rest: never[]) => {
        largestBytes = Math.max(largestBytes, bytes)
        return allocate(bytes, ...rest)
      },
    })
  }
}
