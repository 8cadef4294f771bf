/** What goes on on a mount while its serving process is killed again and again. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Console } from '../../rig/guest/console.ts'
import { guest } from '../../rig/guest/index.ts'
import type { MachineSummary } from '../../src/daemon/host.ts'
import type { CheckReport } from '../../src/image/types.ts'
import type { BenchRun } from './bench.ts'
import { CounterWatch } from './counter-watch.ts'
import { median } from './figures.ts'
import { FioVerify } from './fio-verify.ts'
import { KilledDaemon } from './killed-daemon.ts'
import { NamespaceLoad } from './namespace-load.ts'
import type { Delay } from './namespace-load.ts'

export interface KilledLoad {
  readonly title: string
  start(run: BenchRun, seed: number): Promise<RunningLoad>
}

export interface RunningLoad {
  readonly daemon: KilledDaemon
  /** Ends it; the daemon goes on. */
  finish(): Promise<{ faults: string[]; delays: Delay[] }>
}

export const namesLoad: KilledLoad = {
  title: 'names',
  async start(run, seed) {
    const daemon = await KilledDaemon.start(run.scratch.path('names'))
    run.scratch.defer(() => daemon.abandon())
    const load = new NamespaceLoad(daemon.mountPoint, seed)
    run.scratch.defer(() => load.kill())
    return { daemon, finish: () => load.finish() }
  },
}

export const fioLoad: KilledLoad = {
  title: 'names and fio verify, depth 16',
  async start(run, seed) {
    const daemon = await KilledDaemon.start(run.scratch.path('fio'))
    run.scratch.defer(() => daemon.abandon())
    const load = new NamespaceLoad(daemon.mountPoint, seed)
    const fio = new FioVerify(daemon.mountPoint)
    run.scratch.defer(() => load.kill())
    run.scratch.defer(() => fio.kill())
    return {
      daemon,
      async finish() {
        const { faults, delays } = await load.finish()
        const failure = await fio.finish()
        return { faults: failure === null ? faults : [...faults, failure], delays }
      },
    }
  },
}

/** The guest's database is whole, and its kernel saw no error of its disk. */
const guestCheck = 'python3 -c "import sqlite3,glob; [print(sqlite3.connect(f).execute(\'pragma integrity_check\')' +
  '.fetchone()[0]) for f in glob.glob(\'/var/lib/*/*.db\') + glob.glob(\'/root/*.db\')]"; ' +
  'dmesg | grep -iE "i/o error|ext4-fs error|blocked for more|call trace" && exit 1; exit 0'

export const guestLoad: KilledLoad = {
  title: 'a Debian guest, its memory on the mount',
  async start(run) {
    const { disk, kernel, initrd, append } = await guest()
    const daemon = await KilledDaemon.over(run.scratch.path('guest'), [disk])
    run.scratch.defer(() => daemon.abandon())
    const machine = await daemon.call('vm start', {
      image: 'image', accel: 'tcg', machine: 'microvm', memory: 512 * 2 ** 20, kernel, initrd,
      append: append({ workload: 'sqlite', payloadBytes: 1024 }),
    }) as MachineSummary
    run.scratch.defer(() => endProcess(machine.pid))
    const watch = await CounterWatch.open(machine.console)
    run.scratch.defer(() => watch.close())
    return { daemon, finish: () => finishGuest(daemon, machine, watch) }
  },
}

const longerThanUsual = 3

async function finishGuest(
  daemon: KilledDaemon, machine: MachineSummary, watch: CounterWatch,
): Promise<{ faults: string[]; delays: Delay[] }> {
  await watch.waitFor(3)
  watch.close()
  const faults = watch.seen.slice(1).flatMap(({ number }, index) =>
    number === watch.seen[index].number + 1 ? [] : [`row ${number} came after row ${watch.seen[index].number}`])
  const intervals = watch.seen.slice(1).map(({ seenMs }, index): Delay =>
    [performance.timeOrigin + watch.seen[index].seenMs, seenMs - watch.seen[index].seenMs])
  // One begins where the other ends: only those that took longer than usual are a delay.
  const usualMs = longerThanUsual * median(intervals.map(([, durationMs]) => durationMs))
  const delays = intervals.filter(([, durationMs]) => durationMs > usualMs)
  const now = ((await daemon.call('vm status', {})) as MachineSummary[]).find(({ image }) => image === 'image')
  if (now?.state !== 'running' || now.pid !== machine.pid) faults.push(`the machine is ${JSON.stringify(now)}`)
  const console = await Console.connect(machine.console)
  const { code, output } = await console.run(guestCheck)
  console.close()
  if (code !== 0 || !/^(ok\n?)+$/.test(output.trim())) faults.push(`the guest says: ${output}`)
  const log = readFileSync(join(dirname(machine.console), 'console.log'), 'latin1')
  if (/i\/o error|ext4-fs error/i.test(log)) faults.push('the console has an error of the disk')
  await daemon.call('vm stop', { image: 'image', force: true })
  const { damaged } = await daemon.call('check', { readData: true }) as CheckReport
  if (damaged.length > 0) faults.push(`the store: ${JSON.stringify(damaged.slice(0, 3))}`)
  return { faults, delays }
}

async function endProcess(pid: number | null): Promise<void> {
  if (pid === null) return
  try {
    process.kill(pid, 'SIGKILL')
    await sleep(50)
  } catch {
    // It has ended, as it should.
  }
}
