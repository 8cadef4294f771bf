/** The hypervisor's process with a control connection: what `start` and `prepare` have in common. */
import type { Duplex } from 'node:stream'
import { within } from '../deadline.ts'
import type { CallLimit } from '../deadline.ts'
import type { Binding, Plan, PrepareLimit } from '../driver.ts'
import { DriverError, messageOf } from '../errors.ts'
import type { Host, SocketDirectory, SpawnedProcess } from '../host.ts'
import { limits } from '../limits.ts'
import { channels, channelsCount, commandLine } from './commandline.ts'
import type { Role } from './commandline.ts'
import { passGate } from './gate.ts'
import { QmpClient } from './qmp.ts'
import { runFiles, runPath } from './rundir.ts'

export interface Launched {
  readonly process: SpawnedProcess
  readonly qmp: QmpClient
  readonly sockets: SocketDirectory
  /** Where device state is fed in; null for a machine that was not prepared. */
  readonly incoming: Duplex | null
  readonly timings: { readonly spawnMs: number; readonly greetingMs: number }
  readonly warnings: readonly string[]
}

/** @throws DriverError REFUSED, START_FAILED, TIMEOUT, ABORTED; no process is left then */
export async function launch(
  host: Host,
  plan: Plan,
  binding: Binding,
  role: Role,
  limit: PrepareLimit = {},
): Promise<Launched> {
  if (plan.refusals.length > 0) throw new DriverError('REFUSED', plan.refusals.map(({ reason }) => reason).join(' '))
  if (limit.signal?.aborted)
    throw new DriverError('ABORTED', 'The start was aborted.', { cause: limit.signal.reason })
  await host.remove(runPath(binding.runDirectory, 'pauseMark'))
  const startMs = host.nowMs()
  const sockets = host.openSockets(binding.runDirectory)
  let process: SpawnedProcess | null = null
  try {
    process = await host.spawn({
      binary: plan.binaryPath,
      argv: commandLine(plan, binding, role, limit.after !== undefined),
      directory: binding.runDirectory,
      logPath: runPath(binding.runDirectory, 'log'),
      channelsCount: channelsCount[role],
    })
    if (limit.after !== undefined) await passGate(process, sockets, limit.after, limit)
    const spawnedMs = host.nowMs()
    const qmp = await greet(host, process, binding, limit)
    const timings = { spawnMs: spawnedMs - startMs, greetingMs: host.nowMs() - spawnedMs }
    const warnings = await adjust(host, process, binding)
    return {
      process,
      qmp,
      sockets,
      incoming: process.channels[channels.incoming - channels.qmp] ?? null,
      timings,
      warnings,
    }
  } catch (error) {
    process?.kill('SIGKILL')
    await process?.exited
    sockets.close()
    throw error
  }
}

/** The end of what the hypervisor said, for an error message. */
export async function lastWords(host: Host, runDirectory: string): Promise<string> {
  const text = await host.readText(runPath(runDirectory, 'log'), limits.logQuotedBytes)
  const words = text?.trim().split('\n').slice(-6).join('\n') ?? ''
  return words === '' ? `It said nothing in ${runFiles.log}.` : words
}

async function greet(host: Host, process: SpawnedProcess, binding: Binding, limit: CallLimit): Promise<QmpClient> {
  const timeoutMs = limit.timeoutMs ?? limits.startTimeoutMs
  const opening = QmpClient.open(process.channels[0]!, { timeoutMs, signal: limit.signal })
  const ended = process.exited.then(() => {
    throw new DriverError('START_FAILED', 'The hypervisor ended.')
  })
  try {
    return await within(Promise.race([opening, ended]), timeoutMs, 'The start of the hypervisor', limit.signal)
  } catch (error) {
    opening.then(
      (qmp) => qmp.close(),
      () => undefined,
    )
    if (error instanceof DriverError && (error.code === 'TIMEOUT' || error.code === 'ABORTED')) throw error
    throw new DriverError(
      'START_FAILED',
      `The hypervisor did not start: ${messageOf(error)} ${await lastWords(host, binding.runDirectory)}`,
      { cause: error },
    )
  }
}

async function adjust(host: Host, process: SpawnedProcess, binding: Binding): Promise<string[]> {
  if (binding.oomScoreAdjust === undefined) return []
  try {
    await host.writeControl(`/proc/${process.identity.pid}/oom_score_adj`, String(binding.oomScoreAdjust))
    return []
  } catch (error) {
    return [
      `The OOM score of process ${process.identity.pid} could not be set to ${binding.oomScoreAdjust}: ` +
        messageOf(error),
    ]
  }
}
