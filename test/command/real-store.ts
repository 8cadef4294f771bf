/** A real store driven through the command line, each command a process of its own. */
import { execFile, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { ExecutionContext } from 'ava'
import { readMounts, unmount } from '../../fuse/index.ts'
import { isAlive, daemonPid, scratchDirectory } from '../daemon/scratch.ts'

const entry = fileURLToPath(new URL('../../bin/holdfast.js', import.meta.url))

export interface CommandResult {
  code: number
  out: string
  err: string
}

export class RealStore {
  readonly root: string
  readonly directory: string

  private constructor(root: string) {
    this.root = root
    this.directory = join(root, 'store')
  }

  /** A directory for a store that is not made yet; daemon and mounts go when the test ends. */
  static at(t: ExecutionContext<unknown>): RealStore {
    const store = new RealStore(scratchDirectory(t))
    t.teardown(() => store.#end())
    return store
  }

  static async make(t: ExecutionContext<unknown>): Promise<RealStore> {
    const store = RealStore.at(t)
    await store.run(['init'])
    return store
  }

  /** A path beside the store. */
  path(name: string): string {
    return join(this.root, name)
  }

  file(name: string, content: string | Buffer): string {
    writeFileSync(this.path(name), content)
    return this.path(name)
  }

  mountPoint(name = 'mnt'): string {
    mkdirSync(this.path(name))
    return this.path(name)
  }

  async run(words: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<CommandResult> {
    const env = { ...process.env, HOLDFAST_STORE: this.directory, ...environment }
    const child = spawn(process.execPath, [entry, ...words], { stdio: ['ignore', 'pipe', 'pipe'], env })
    let out = ''
    let err = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
    return { code: code ?? -1, out, err }
  }

  /** The JSON document of a command that must succeed. */
  async json<T>(words: readonly string[]): Promise<T> {
    const { code, out, err } = await this.run([...words, '--json'])
    if (code !== 0) throw new Error(`holdfast ${words.join(' ')} ended with ${code}: ${err}${out}`)
    return JSON.parse(out) as T
  }

  async killDaemon(): Promise<void> {
    const pid = daemonPid(this.directory)
    if (pid === null) return
    const family = [pid, ...childrenOf(pid)]
    process.kill(pid, 'SIGKILL')
    while (family.some(isAlive)) await new Promise((resolve) => setTimeout(resolve, 10))
  }

  async #end(): Promise<void> {
    await this.killDaemon().catch(() => undefined)
    for (const { mountPoint } of readMounts()) {
      if (mountPoint.startsWith(this.root)) await unmount(mountPoint, { lazy: true }).catch(() => undefined)
    }
  }
}

/** Runs a shell line; what it printed. */
export async function shell(line: string): Promise<string> {
  return (await promisify(execFile)('sh', ['-ec', line])).stdout
}

export function contentOf(path: string): string {
  return readFileSync(path, 'utf8')
}

/** The processes that a daemon's supervisor has started. */
function childrenOf(pid: number): number[] {
  return contentOf(`/proc/${pid}/task/${pid}/children`).split(' ').filter((word) => word !== '').map(Number)
}
