/** How soon does a guest whose hypervisor was killed run again? */
import { closeSync, fstatSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findCounterPage } from '../rig/guest/page.ts'
import type { MachineSummary, ResumeResult } from '../src/index.ts'
import type { Bench, BenchRun, Cell, Table } from './rig/bench.ts'
import { highest, median } from './rig/figures.ts'
import type { CommandOutcome } from './rig/holdfast.ts'
import { BenchMachine, plainShape } from './rig/machine.ts'
import { SavevmGuest } from './rig/savevm.ts'

/** What a guest says that boots and does not go on. */
const bootMessage = /SeaBIOS|Booting|Linux version|Command line:|systemd\[1\]|^ready \d+$/
const numbersSeen = 5
/** The daemon commits what the dead guest had written, and unmounts; a resume that comes sooner waits for that. */
const afterKillMs = 2000

interface Resumption {
  /** From the start of the command's process to its end. */
  readonly commandMs: number
  /** From the start of the command's process to the guest running. */
  readonly runningMs: number
  readonly result: ResumeResult
  /** Why it is no proper resume, or null. */
  readonly fault: string | null
}

interface Resumptions {
  readonly warm: Resumption[]
  /** Those of `warm` that were the first of their epoch. */
  readonly first: Resumption[]
  /** Beside the original, which runs. */
  readonly forks: Resumption[]
  readonly cold: Resumption[]
}

export const resume: Bench = {
  name: 'resume',
  question: 'how soon does a guest whose hypervisor was killed run again?',
  async run(run) {
    const { warm, cold, first, forks } = await resumeWithHoldfast(run)
    const loadvmMs = await resumeWithLoadvm(run)
    const runningMs = warm.map((each) => each.runningMs)
    const faults = [...warm, ...forks, ...cold].flatMap(({ fault }) => fault ?? [])
    const kind = 'at most'
    return {
      tables: [totalsTable({ warm, first, forks, cold }, loadvmMs), partsTable(warm, first, cold)],
      targets: [
        { what: 'resume, command to running guest, p50', figure: median(runningMs), limit: 150, kind, unit: 'ms' },
        { what: 'resume, command to running guest, slowest', figure: highest(runningMs), limit: 150, kind, unit: 'ms' },
        { what: 'resumes that went on elsewhere than at the cut', figure: faults.length, limit: 0, kind, unit: '' },
      ],
      lost: median(runningMs) > median(loadvmMs) ? ['loadvm in a new QEMU is faster than the whole command.'] : [],
      notes: [
        `The guest inserts a row into SQLite, syncs it, and sleeps ${plainShape.intervalMs} ms.`,
        'Warm: the daemon runs, the compile cache is filled; the hypervisor was killed with SIGKILL ' +
          `${afterKillMs / 1000} s before. Each epoch is resumed ` +
          'several times; the first resume of an epoch has no recorded working set yet.',
        'Cold: no daemon, the page cache of the host dropped; the command starts the daemon.',
        'Both begin with the start of a process: of the command, and of a new QEMU with -loadvm. Both end with QEMU’s ' +
          'word that the guest runs.',
        `Proved after each: the first number is the epoch's or the one after it, ${numbersSeen} follow without a ` +
          'gap, and nothing of a boot is said.',
        ...faults,
      ],
    }
  },
}

async function resumeWithHoldfast(run: BenchRun): Promise<Resumptions> {
  await using machine = await BenchMachine.start(run)
  const warm: Resumption[] = []
  const first: Resumption[] = []
  for (let epoch = 0; epoch < (run.quick ? 1 : 4); epoch++) {
    await sleep(3000)
    const { number, committed } = await takeEpoch(run, machine)
    run.note(`resuming epoch ${number}`)
    for (let round = 0; round < 4; round++) {
      await killHypervisor(machine)
      const resumed = await resumeOnce(machine, number, committed)
      if (round === 0) first.push(resumed)
      warm.push(resumed)
      // The working set is recorded within seconds of the first resume.
      await sleep(round === 0 ? 4000 : 1000)
    }
  }
  const { number, committed } = await takeEpoch(run, machine)
  const forks: Resumption[] = []
  for (let round = 0; round < (run.quick ? 1 : 5); round++) forks.push(await forkOnce(machine, number, committed))
  const cold: Resumption[] = []
  for (let round = 0; round < (run.quick ? 1 : 3); round++) cold.push(await resumeCold(run, machine, number, committed))
  return { warm, first, forks, cold }
}

/** The last number that was committed at the epoch's cut stands in its memory. */
async function takeEpoch(run: BenchRun, machine: BenchMachine): Promise<{ number: number; committed: number }> {
  const { epoch } = await machine.image.checkpoint()
  const file = run.scratch.memoryPath('memory')
  await machine.image.export(epoch.number, '/machine.memory', file)
  const fd = openSync(file, 'r')
  try {
    const page = findCounterPage(fd, fstatSync(fd).size)
    if (page === undefined) throw new Error('the epoch’s memory has no counter')
    return { number: epoch.number, committed: page.committed }
  } finally {
    closeSync(fd)
    rmSync(file)
  }
}

async function killHypervisor(machine: BenchMachine): Promise<void> {
  const { pid } = await machine.summary()
  process.kill(pid!, 'SIGKILL')
  for (let state = ''; state !== 'failed'; await sleep(20)) state = (await machine.summary()).state
  await sleep(afterKillMs)
}

async function resumeOnce(machine: BenchMachine, number: number, committed: number): Promise<Resumption> {
  const outcome = await machine.store.command('vm', 'resume', `${machine.image.name}@${number}`)
  return proven(outcome, committed)
}

async function forkOnce(machine: BenchMachine, number: number, committed: number): Promise<Resumption> {
  const fork = `fork-${number}`
  const outcome = await machine.store.command('vm', 'resume', `${machine.image.name}@${number}`, '--as', fork)
  const resumed = await proven(outcome, committed)
  await machine.store.command('vm', 'stop', fork, '--force')
  await machine.store.command('rm', fork)
  await sleep(1000)
  return resumed
}

async function resumeCold(
  run: BenchRun, machine: BenchMachine, number: number, committed: number,
): Promise<Resumption> {
  run.note('resuming without daemon and caches')
  await machine.store.stopDaemon()
  writeFileSync('/proc/sys/vm/drop_caches', '3')
  const resumed = await resumeOnce(machine, number, committed)
  await sleep(1000)
  return resumed
}

async function proven({ json, ms, beganMs }: CommandOutcome, committed: number): Promise<Resumption> {
  const result = json as ResumeResult
  const lines = await firstLines(result.machine)
  const numbers = lines.flatMap((line) => /^counter (\d+) \d+$/.exec(line)?.[1] ?? []).map(Number)
  return { commandMs: ms, runningMs: result.ranMs - beganMs, result, fault: faultOf(lines, numbers, committed) }
}

/** What the guest said since it was resumed, once it has counted a few times. */
async function firstLines(machine: MachineSummary): Promise<string[]> {
  const log = join(dirname(machine.console), 'console.log')
  const deadlineMs = performance.now() + 30_000
  for (;;) {
    const lines = readFileSync(log, 'latin1').replaceAll('\r', '').split('\n').slice(0, -1)
    if (lines.filter((line) => /^counter \d+ \d+$/.test(line)).length >= numbersSeen) return lines
    if (performance.now() > deadlineMs) throw new Error(`the resumed guest does not count:\n${lines.join('\n')}`)
    await sleep(20)
  }
}

/** The line of the epoch's own number may have been cut, or was still to be printed. */
function faultOf(lines: string[], numbers: number[], committed: number): string | null {
  const boot = lines.find((line) => bootMessage.test(line))
  if (boot !== undefined) return `after a resume the guest booted: ${boot}`
  if (numbers[0] !== committed && numbers[0] !== committed + 1) {
    return `the epoch was cut after ${committed}, and the resumed guest began with ${numbers[0]}`
  }
  const gap = numbers.findIndex((number, index) => index > 0 && number !== numbers[index - 1] + 1)
  return gap < 0 ? null : `a resumed guest counted ${numbers[gap - 1]}, ${numbers[gap]}`
}

async function resumeWithLoadvm(run: BenchRun): Promise<number[]> {
  await using guest = await SavevmGuest.start(run)
  await sleep(3000)
  await guest.save('saved')
  const times: number[] = []
  for (let round = 0; round < (run.quick ? 2 : 10); round++) times.push(await guest.killAndLoad('saved'))
  return times
}

function totalsTable({ warm, forks, cold }: Resumptions, loadvmMs: number[]): Table {
  const row = (name: string, times: number[]): Cell[] =>
    [name, times.length, Math.min(...times), median(times), highest(times)]
  return {
    title: 'Time to a running guest, ms',
    columns: ['', 'resumes', 'fastest', 'p50', 'slowest'],
    rows: [
      row('holdfast, command to running guest', warm.map(({ runningMs }) => runningMs)),
      row('holdfast, command to its end', warm.map(({ commandMs }) => commandMs)),
      row('holdfast, in the daemon', warm.map(({ result }) => result.resumeMs)),
      row('holdfast, as a fork, command to running guest', forks.map(({ runningMs }) => runningMs)),
      row('holdfast, command to running guest, cold', cold.map(({ runningMs }) => runningMs)),
      row('loadvm in a new QEMU', loadvmMs),
    ],
  }
}

function partsTable(warm: Resumption[], first: Resumption[], cold: Resumption[]): Table {
  const names = Object.keys(warm[0].result.parts)
  const middle = (from: Resumption[], name: string): Cell => median(from.map(({ result }) => result.parts[name] ?? 0))
  return {
    title: 'Parts in the daemon, p50 in ms; head, mount and serve, prepare and push run side by side',
    columns: ['', 'all', 'first of an epoch', 'cold'],
    rows: names.map((name) => [name, middle(warm, name), middle(first, name), middle(cold, name)]),
  }
}
