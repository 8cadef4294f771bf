/**
 * The capture of a running machine: memory, disks and device state at one moment.
 *
 *   guest runs    live flush of the memory files until little is left, the disks synced
 *   guest stands  stop -> device state, and beside it a flush -> flush of what the saving dirtied -> barrier
 *   guest runs    cont; the caller seals the cut
 *
 * Memory is flushed file by file, never with syncfs, which has been seen to return with most unwritten. Only the
 * return of `stop` counts: its event comes before disk requests are drained. Whatever fails, the guest goes on
 * (if it lives) and no epoch comes of it.
 */
import { Buffer } from 'node:buffer'
import { Writable } from 'node:stream'
import type { Machine, Quiet } from '../../drivers/index.ts'
import type { Env } from '../env/env.ts'
import { HoldfastError } from '../errors.ts'
import type { Cut } from '../mount/image-mount.ts'
import { driving, fromDriver } from './driver-errors.ts'
import type { Incarnation } from './incarnation.ts'
import { stateBytesMax } from './limits.ts'
import type { MachineLimits } from './limits.ts'
import { Stopwatch } from './stopwatch.ts'

export interface Capture {
  /** The caller seals or abandons it. */
  readonly cut: Cut
  readonly state: Buffer
  /** When the guest stood still, by the wall. */
  readonly wallMs: number
  readonly pauseMs: number
  readonly parts: Record<string, number>
}

export interface CaptureOptions {
  readonly env: Env
  readonly limits: MachineLimits
  readonly signal?: AbortSignal
}

/** Errors: MACHINE, MACHINE_TIMEOUT, MACHINE_GONE, ABORTED, FAILED_STATE (of the mount). */
export async function capture(life: Incarnation, options: CaptureOptions): Promise<Capture> {
  const { env, limits, signal } = options
  const { machine } = life
  const stopwatch = new Stopwatch(env)
  await stopwatch.part('liveFlush', liveFlush(life, limits, env, signal))
  const quiet = await driving('stopping the guest', machine.quiesce({ timeoutMs: limits.quiesceTimeoutMs, signal }))
  const stoppedMs = env.monotonicMs()
  Object.assign(stopwatch.parts, { arm: quiet.timings.armMs, stop: quiet.timings.stopMs })
  const wallMs = Math.round(env.wallMs())
  const taken = await inPause(life, quiet, options, stopwatch)
  try {
    const beforeMs = env.monotonicMs()
    const { timings } = await driving('letting the guest go on', machine.resume(quiet))
    stopwatch.parts['cont'] = timings.contMs
    const pauseMs = quiet.timings.stopMs + (beforeMs - stoppedMs) + timings.contMs
    return { ...taken, wallMs, pauseMs, parts: stopwatch.parts }
  } catch (error) {
    taken.cut.abandon()
    throw await letGoOn(machine, quiet, error)
  }
}

/** What the guest stands still for. On failure it goes on, and no cut is left open. */
async function inPause(
  life: Incarnation, quiet: Quiet, { limits, signal }: CaptureOptions, stopwatch: Stopwatch,
): Promise<{ cut: Cut; state: Buffer }> {
  const { machine, flush, mount } = life
  const paths = life.memoryPaths(machine.plan)
  let cut: Cut | null = null
  try {
    const sink = new StateSink()
    const saving = machine.saveState(quiet, sink, { timeoutMs: limits.saveTimeoutMs, signal, bytesMax: stateBytesMax })
    await all([
      stopwatch.part('saveState', driving('saving the device state', saving)),
      stopwatch.part('flush', flush.sync(paths, limits.pausedFlushTimeoutMs, signal)),
    ])
    // Saving the devices may have written into the guest's memory.
    await stopwatch.part('flush', flush.sync(paths, limits.pausedFlushTimeoutMs, signal))
    cut = await stopwatch.part('barrier', barrierIn(mount.barrier(), limits.barrierTimeoutMs))
    if (!quiet.intact) throw ranMeanwhile(life.image)
    return { cut, state: sink.bytes }
  } catch (error) {
    cut?.abandon()
    throw await letGoOn(machine, quiet, error)
  }
}

async function liveFlush(life: Incarnation, limits: MachineLimits, env: Env, signal?: AbortSignal): Promise<void> {
  const { plan } = life.machine
  const paths = life.memoryPaths(plan)
  const sync = (files: readonly string[]): Promise<void> => life.flush.sync(files, limits.liveFlushTimeoutMs, signal)
  await sync(paths)
  // One sync covers the lane of all disks, and with it what the seal's commit reads.
  const disk = plan.spec.disks.at(0)
  if (disk !== undefined) await sync([life.path(disk.path)])
  for (let round = 1; round < limits.flushRoundsMax; round += 1) {
    const begin = env.monotonicMs()
    await sync(paths)
    if (env.monotonicMs() - begin < limits.flushShortMs) return
  }
}

/** Both are settled before either's failure is told, so that nothing of a failed attempt is still under way. */
async function all(steps: Promise<unknown>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(steps)) if (outcome.status === 'rejected') throw outcome.reason
}

/** A barrier that comes too late is abandoned when it comes. */
async function barrierIn(barrier: Promise<Cut>, timeoutMs: number): Promise<Cut> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      barrier.then((cut) => cut.abandon(), () => undefined)
      reject(new HoldfastError('MACHINE_TIMEOUT', `the mount did not reach the barrier in ${timeoutMs} ms: try again`))
    }, timeoutMs)
  })
  try {
    return await Promise.race([barrier, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Ends the pause after a failure, and says what to throw: also when the guest could not be let go on. */
async function letGoOn(machine: Machine, quiet: Quiet, error: unknown): Promise<HoldfastError> {
  const failure = fromDriver(error, 'the checkpoint')
  try {
    await machine.abandon(quiet)
    return failure
  } catch (second) {
    const after = fromDriver(second, 'letting the guest go on')
    if (after.code === 'MACHINE_GONE') return after
    return new HoldfastError(failure.code, `${failure.message}; and ${after.message}`, { cause: error })
  }
}

function ranMeanwhile(image: string): HoldfastError {
  return new HoldfastError('MACHINE', `something else let the guest of ${image} run during the checkpoint: try again`)
}

class StateSink extends Writable {
  readonly #pieces: Buffer[] = []

  get bytes(): Buffer {
    return Buffer.concat(this.#pieces)
  }

  override _write(piece: Buffer, _encoding: string, done: () => void): void {
    this.#pieces.push(piece)
    done()
  }
}
