/** The real Env, with a call that fails when its time comes, and a list of what was called. */
import type { Env, EnvFile } from '../../src/env/env.ts'
import { HoldfastError } from '../../src/errors.ts'
import { env } from './support.ts'

export type Operation = 'write' | 'sync' | 'truncate' | 'rename' | 'unlink' | 'syncDirectory' | 'createNew'

export class FailingEnv {
  readonly calls: string[] = []
  /** Fails the n-th next call of that kind with EIO. */
  failing: { operation: Operation; after: number } | undefined

  readonly env: Env = {
    ...env,
    open: (path, mode) => {
      if (mode === 'createNew') this.#note('createNew', path)
      return this.#file(env.open(path, mode))
    },
    rename: (from, to) => this.#do('rename', to, () => env.rename(from, to)),
    unlink: (path) => this.#do('unlink', path, () => env.unlink(path)),
    syncDirectory: (path) => this.#do('syncDirectory', path, () => env.syncDirectory(path)),
  }

  #file(file: EnvFile): EnvFile {
    return {
      path: file.path,
      fd: file.fd,
      read: (target, position) => file.read(target, position),
      write: (source, position) => this.#do('write', file.path, () => file.write(source, position)),
      writev: (sources, position) => this.#do('write', file.path, () => file.writev(sources, position)),
      append: (source) => this.#do('write', file.path, () => file.append(source)),
      truncate: (bytes) => this.#do('truncate', file.path, () => file.truncate(bytes)),
      size: () => file.size(),
      sync: () => this.#do('sync', file.path, () => file.sync()),
      close: () => file.close(),
      [Symbol.dispose]: () => file.close(),
    }
  }

  #do<T>(operation: Operation, path: string, call: () => T): T {
    this.#note(operation, path)
    return call()
  }

  #note(operation: Operation, path: string): void {
    this.calls.push(`${operation} ${path.split('/').at(-1)?.replace(/^[0-9a-f]{8}\.[0-9a-f]{32}/, '*')}`)
    if (this.failing?.operation !== operation) return
    if (this.failing.after-- > 0) return
    this.failing = undefined
    throw new HoldfastError('IO', `${operation} fails on purpose`)
  }
}
