/**
 * A replica in memory, of which a test says when each call is carried out: so any interleaving of those who use it
 * can be had, a listing in two pages, calls whose answer never comes, calls that come late.
 */
import { Buffer } from 'node:buffer'
import { HoldfastError, type ErrorCode } from '../../src/errors.ts'
import { closedPart, openPart } from '../../src/replica/generation.ts'
import { joinPath, nameOf, parentOf } from '../../src/replica/paths.ts'
import type { Replica, ReplicaEntry } from '../../src/replica/replica.ts'

/** A call that was asked for and not carried out. */
export interface Waiting {
  readonly user: string
  readonly what: string
  /** Carries it out, and answers if `isHeard`. */
  run(isHeard: boolean): void
}

export class MemoryReplica {
  readonly objects = new Map<string, Buffer>()
  readonly directories = new Set<string>()
  /** Objects and directories, by the directory that holds them. */
  readonly #children = new Map<string, Set<string>>()
  waiting: Waiting[] = []
  /** Called after each change, with the paths that came and went. */
  onChange: (path: string, isThere: boolean) => void = () => undefined

  as(user: string): Replica {
    const ask = <T>(what: string, run: () => T): Promise<T> => this.#ask(user, what, run)
    const [objects, directories] = [this.objects, this.directories]
    const pages = (directory: string): AsyncIterable<ReplicaEntry> => this.#pages(user, directory)
    const bytesOf = (path: string): Buffer => objects.get(path) ?? fail('NOT_FOUND', path)
    return {
      url: 'memory', list: pages,
      stat: (path: string) => ask(`stat ${path}`, () => this.#entry(path)),
      async *read(path: string) { yield await ask(`read ${path}`, () => bytesOf(path)) },
      put: (path: string, bytes: Uint8Array) => ask(`put ${path}`, () => {
        if (objects.has(path)) fail('EXISTS', path)
        if (parentOf(path) !== '' && !this.#isDirectory(parentOf(path))) fail('NOT_FOUND', path)
        this.#set(path, Buffer.from(bytes))
        return { bytes: bytes.length, crc32: 0 }
      }),
      move: (from: string, to: string) => ask(`move ${from}`, () => this.#move(from, to)),
      publishIntent: (path: string, directory: string, name: string) => ask(`publish ${path} ${name}`, () => {
        if (!this.#isDirectory(openPart(directory))) fail('FENCED', directory)
        this.#move(path, joinPath(openPart(directory), name))
      }),
      openGeneration: (directory: string, name: string, bytes: Uint8Array) => ask(`open ${directory}`, () => {
        if (this.#isDirectory(openPart(directory)) || this.#isDirectory(closedPart(directory))) fail('EXISTS', directory)
        this.makeDirectory(openPart(directory))
        this.#set(joinPath(openPart(directory), name), Buffer.from(bytes))
      }),
      closeGeneration: (directory: string) => ask(`close ${directory}`, () => this.#close(directory)),
      makeDirectory: (path: string) => ask(`mkdir ${path}`, () => this.makeDirectory(path)),
      remove: (path: string) => ask(`remove ${path}`, () => {
        if (!objects.has(path) && this.names(path).length > 0) fail('EXISTS', path)
        const isObject = objects.delete(path)
        directories.delete(path)
        this.#forget(path)
        if (isObject) this.onChange(path, false)
      }),
    } as Partial<Replica> as Replica
  }

  makeDirectory(path: string): void {
    this.directories.add(path)
    this.#know(path)
  }

  /** As if it had never been: a directory without objects. */
  removeEmpty(path: string): void {
    for (const name of this.names(path)) this.removeEmpty(joinPath(path, name))
    this.directories.delete(path)
    this.#forget(path)
  }

  #ask<T>(user: string, what: string, run: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.waiting.push({
        user, what,
        run(isHeard) {
          try {
            const result = run()
            if (isHeard) resolve(result)
          } catch (error) {
            if (!(error instanceof HoldfastError)) throw error
            if (isHeard) reject(error)
          }
        },
      })
    })
  }

  /** What comes or goes between the pages is seen or not. */
  async *#pages(user: string, directory: string): AsyncGenerator<ReplicaEntry> {
    const middle = await this.#ask(user, `list ${directory}`, () => {
      if (!this.#isDirectory(directory)) fail('NOT_FOUND', directory)
      const names = this.names(directory)
      return { names: names.slice(0, names.length >> 1), from: names[names.length >> 1] ?? '' }
    })
    const rest = await this.#ask(user, `list on ${directory}`, () => {
      if (!this.#isDirectory(directory)) fail('NOT_FOUND', directory)
      return this.names(directory).filter((name) => name >= middle.from)
    })
    for (const name of [...middle.names, ...rest]) {
      const entry = this.#entry(joinPath(directory, name))
      yield entry ?? { name, kind: 'object', bytes: 0, modifiedMs: 0 }
    }
  }

  names(directory: string): string[] {
    return [...this.#children.get(directory) ?? []].sort()
  }

  count(directory: string): number {
    return this.#children.get(directory)?.size ?? 0
  }

  #isDirectory(path: string): boolean {
    return this.directories.has(path) || (this.#children.get(path)?.size ?? 0) > 0
  }

  #entry(path: string): ReplicaEntry | null {
    const bytes = this.objects.get(path)?.length
    if (bytes !== undefined) return { name: nameOf(path), kind: 'object', bytes, modifiedMs: 0 }
    return this.#isDirectory(path) ? { name: nameOf(path), kind: 'directory', bytes: 0, modifiedMs: 0 } : null
  }

  #know(path: string): void {
    if (path === '') return
    const names = this.#children.get(parentOf(path)) ?? new Set()
    this.#children.set(parentOf(path), names.add(nameOf(path)))
    this.#know(parentOf(path))
  }

  #forget(path: string): void {
    if (path === '' || this.objects.has(path) || this.#isDirectory(path)) return
    const names = this.#children.get(parentOf(path))
    names?.delete(nameOf(path))
    if (names?.size === 0) this.#children.delete(parentOf(path))
    this.#forget(parentOf(path))
  }

  #set(path: string, bytes: Buffer): void {
    this.objects.set(path, bytes)
    this.#know(path)
    this.onChange(path, true)
  }

  #move(from: string, to: string): void {
    const bytes = this.objects.get(from)
    if (this.objects.has(to)) fail('EXISTS', to)
    if (bytes === undefined) return fail('NOT_FOUND', from)
    this.objects.delete(from)
    this.#forget(from)
    this.#set(to, bytes)
    this.onChange(from, false)
  }

  #close(directory: string): 'won' | 'closed' {
    const [open, closed] = [openPart(directory), closedPart(directory)]
    if (this.#isDirectory(closed)) return 'closed'
    this.directories.delete(open)
    this.makeDirectory(closed)
    for (const name of this.names(open)) this.#move(joinPath(open, name), joinPath(closed, name))
    this.#forget(open)
    return 'won'
  }
}

function fail(code: ErrorCode, path: string): never {
  throw new HoldfastError(code, path)
}
