import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, rmdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** The mark of a run: every process that a test starts inherits it. */
export const runVariable = 'HOLDFAST_TEST_RUN'

const mountType = 'fuse.holdfast'

/** A process that was just told to end, and a dead mount's answer, are waited for this long. */
const graceMs = 10_000

/** Finds, removes and names the processes, mounts and files that a test run left. */
export class Leftovers {
  readonly #mark: string
  readonly #directory: string
  readonly #searched: string
  readonly #mountsBefore: ReadonlySet<string>

  /**
   * `directory` is the run's own temporary directory; it is removed by `clean`. Dead mounts are looked for below
   * `searched`.
   */
  constructor(runId: string, directory: string, searched = '/') {
    this.#mark = `${runVariable}=${runId}`
    this.#directory = directory
    this.#searched = searched
    this.#mountsBefore = new Set(mountPoints())
  }

  /** Ends what is left, processes first since they hold the mounts, and returns a line for each thing found. */
  async clean(): Promise<string[]> {
    const found = await this.#cleanProcesses()
    found.push(...await this.#cleanMounts())
    found.push(...this.#cleanDirectory())
    return found
  }

  async #cleanProcesses(): Promise<string[]> {
    const deadline = Date.now() + graceMs
    let pids = this.#processes()
    while (pids.length > 0 && Date.now() < deadline) {
      await sleep(50)
      pids = this.#processes()
    }
    const found = pids.map((pid) => `process ${pid}: ${commandLine(pid)}`)
    for (const pid of pids) kill(pid)
    return found
  }

  /** The processes with this run's mark; a zombie has no environment any more and so is none of them. */
  #processes(): number[] {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number)
    return pids.filter((pid) => readProc(pid, 'environ').split('\0').includes(this.#mark))
  }

  /**
   * A new mount in the run's directory is the run's. One elsewhere may belong to someone else who works on this
   * machine, unless nobody serves it any more.
   */
  async #cleanMounts(): Promise<string[]> {
    const found: string[] = []
    for (const point of mountPoints()) {
      if (this.#mountsBefore.has(point) || !point.startsWith(this.#searched)) continue
      const inside = point.startsWith(`${this.#directory}/`)
      if (!inside && !await isDead(point)) continue
      found.push(`mount ${point}`)
      await output('umount', ['-l', point])
    }
    return found
  }

  #cleanDirectory(): string[] {
    const names = readdirSync(this.#directory)
    // Nothing is removed below a mount that did not go away.
    const mounted = mountPoints().some((point) => point.startsWith(`${this.#directory}/`))
    if (!mounted) for (const name of names) rmSync(`${this.#directory}/${name}`, { recursive: true, force: true })
    if (!mounted) rmdirSync(this.#directory)
    return names.map((name) => `file ${this.#directory}/${name}`)
  }
}

function mountPoints(): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n').filter((line) => line.includes(` - ${mountType} `))
  return lines.map((line) => line.split(' ')[4].replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))))
}

/** A mount without a server answers at once with an error; a served or a replaced one may let us wait. */
async function isDead(point: string): Promise<boolean> {
  const marks = await output('stat', ['-f', point])
  return /not connected|aborted/i.test(marks)
}

async function output(command: string, args: string[]): Promise<string> {
  const options = { timeout: graceMs, env: { ...process.env, LC_ALL: 'C' } }
  return await new Promise((resolve) => execFile(command, args, options, (_, stdout, stderr) => resolve(stdout + stderr)))
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function commandLine(pid: number): string {
  return readProc(pid, 'cmdline').replaceAll('\0', ' ').trim().slice(0, 200)
}

/** A file of a process; empty when the process is gone or not ours to see. */
function readProc(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'latin1')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (!['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(code)) throw error
    return ''
  }
}
