/** A test suite of other people, run on a mounted image. */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { ServedMount } from '../mount/served.ts'

export interface Suite {
  readonly name: string
  /** What this host lacks, in words, or null: then the suite can run. */
  missing(): string | null
  /** Resolves to one line about what was done; rejects with the suite's report when anything failed. */
  run(mounted: ServedMount, extent: Extent): Promise<string>
}

/** Short: part of every test run, some seconds. Full: what the suite has. */
export type Extent = 'short' | 'full'

/** A crate that is a suite, installed into a cache of our own: building takes minutes, so once. */
export interface Crate {
  readonly name: string
  readonly version: string
  /** Oldest Rust that builds it. */
  readonly rust: string
}

const cacheDirectory = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'holdfast', 'crates')

/** Where the crate's program is, installed or not. */
export function crateProgram({ name }: Crate): string {
  return join(cacheDirectory, 'bin', name)
}

export function missingCrate(crate: Crate): string | null {
  if (existsSync(crateProgram(crate))) return null
  return `the crate ${crate.name} ${crate.version} is not installed (npm run suites installs it, given Rust ${crate.rust})`
}

/** Builds and installs the crate unless it is there. */
export async function installCrate({ name, version }: Crate): Promise<void> {
  const parameters = ['install', name, '--version', version, '--locked', '--jobs', '1', '--root', cacheDirectory]
  await execute('nice', ['cargo', ...parameters], { limitMs: 1_800_000 })
}

export function missingProgram(program: string, packageName: string): string | null {
  const found = spawnSync('sh', ['-c', `command -v ${program}`]).status === 0
  return found ? null : `${program} is not installed (package ${packageName})`
}

/** What a program printed, both streams; rejects with it when the program fails or takes too long. */
export function execute(
  program: string, parameters: readonly string[],
  options: { limitMs?: number; directory?: string; environment?: Record<string, string> } = {},
): Promise<string> {
  const { limitMs = 400_000, directory, environment = {} } = options
  return new Promise((resolve, reject) => {
    const child = spawn(program, parameters, {
      cwd: directory, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...environment },
      timeout: limitMs, killSignal: 'SIGKILL',
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
    child.on('error', reject)
    child.on('close', (status, signal) => {
      if (status === 0) resolve(output)
      else reject(new Error(`${program} ${parameters.join(' ')} ended with ${signal ?? status}:\n${output.slice(-8_000)}`))
    })
  })
}
