/** The package as a user gets it: built, packed and installed from the tarball, away from the checkout. */
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

/** What the package is made from. */
const sources = ['src', 'fuse', 'drivers', 'package.json', 'tsconfig.json', 'tsconfig.build.json', 'README.md', 'LICENSE']

/** How npm says that it cannot reach the registry. */
const unreachable = /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ENOTCACHED)\b/

export interface Outcome {
  code: number
  out: string
  err: string
}

export interface Installed {
  /** A project that has the package; removed by `remove`. */
  directory: string
  /** Paths in the tarball, without its `package/`. */
  packed: string[]
  /** Why there is none; the rest is empty then. */
  missing: string | null
  remove(): void
}

/**
 * Packs a copy of the sources (so that the checkout keeps no `dist`) and installs it. Fails when packing fails, or
 * installing for another reason than the network.
 */
export async function installPackage(): Promise<Installed> {
  const top = mkdtempSync(join(tmpdir(), 'holdfast-package-'))
  const remove = (): void => rmSync(top, { recursive: true, force: true })
  try {
    const tarball = await pack(join(top, 'copy'))
    const directory = join(top, 'project')
    mkdirSync(directory)
    writeFileSync(join(directory, 'package.json'), '{ "private": true, "type": "module" }\n')
    const npm = await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', tarball.path], directory)
    const missing = npm.code === 0 ? null : unreachable.exec(npm.err)?.[0]
    if (missing === undefined) throw new Error(`npm install ended with ${npm.code}: ${npm.err}`)
    return { directory, packed: tarball.packed, missing, remove }
  } catch (error) {
    remove()
    throw error
  }
}

/** Runs a program to its end; a code other than 0 is an outcome, not a failure. */
export function run(
  program: string, words: readonly string[], cwd: string, environment: NodeJS.ProcessEnv = {},
): Promise<Outcome> {
  const env = { ...process.env, ...environment }
  return new Promise((resolve, reject) => {
    execFile(program, words, { cwd, env, encoding: 'utf8' }, (error, out, err) => {
      if (error !== null && typeof error.code !== 'number') reject(error)
      else resolve({ code: Number(error?.code ?? 0), out, err })
    })
  })
}

async function pack(copy: string): Promise<{ path: string; packed: string[] }> {
  mkdirSync(copy)
  for (const name of sources) cpSync(join(root, name), join(copy, name), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  const npm = await run('npm', ['pack'], copy)
  if (npm.code !== 0) throw new Error(`npm pack ended with ${npm.code}: ${npm.out}${npm.err}`)
  const path = join(copy, readdirSync(copy).find((name) => name.endsWith('.tgz'))!)
  const listed = await run('tar', ['-tzf', path], copy)
  return { path, packed: listed.out.trim().split('\n').map((line) => line.replace(/^package\//, '')) }
}
