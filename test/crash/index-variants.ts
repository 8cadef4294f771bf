/**
 * LevelDB goes around the Env, so what a power loss leaves of the index is made up: any older copy (its writes
 * are not synced), none at all, or the newest with all that was deleted from it back.
 */
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Level } from 'level'
import type { Random } from '../random.ts'

/** The index as it was after so many operations. */
export interface IndexCopy {
  readonly at: number
  readonly directory: string
}

export const indexVariants = ['newest', 'older', 'deleted', 'deletes undone'] as const
export type IndexVariant = (typeof indexVariants)[number]

export class IndexCopies {
  readonly #copies: IndexCopy[] = []
  readonly #directory: string
  readonly #undone = new Map<IndexCopy, Promise<string>>()

  constructor(directory: string) {
    this.#directory = directory
    mkdirSync(directory)
  }

  add(index: string, at: number): void {
    if (!existsSync(index)) return
    const directory = join(this.#directory, String(this.#copies.length))
    cpSync(index, directory, { recursive: true })
    this.#copies.push({ at, directory })
  }

  /** Puts what a crash after so many operations may have left in place of the store's index. */
  async place(target: string, variant: IndexVariant, at: number, random: Random): Promise<void> {
    rmSync(target, { recursive: true, force: true })
    const known = this.#copies.filter((copy) => copy.at <= at)
    const newest = known.at(-1)
    if (newest === undefined || variant === 'deleted') return
    const copy = variant === 'older' ? random.pick(known) : newest
    cpSync(variant === 'deletes undone' ? await this.#withDeletesUndone(newest) : copy.directory, target, { recursive: true })
  }

  #withDeletesUndone(newest: IndexCopy): Promise<string> {
    const known = this.#undone.get(newest)
    if (known !== undefined) return known
    const made = this.#undo(newest)
    this.#undone.set(newest, made)
    return made
  }

  /** The newest copy with every entry that an earlier one has and it has not. */
  async #undo(newest: IndexCopy): Promise<string> {
    const directory = `${newest.directory}-undone`
    const before = this.#copies[this.#copies.indexOf(newest) - 1]
    cpSync(newest.directory, directory, { recursive: true })
    if (before === undefined) return directory
    const earlier = `${newest.directory}-earlier`
    cpSync(await this.#withDeletesUndone(before), earlier, { recursive: true })
    const options = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const
    const [from, to] = [new Level<Buffer, Buffer>(earlier, options), new Level<Buffer, Buffer>(directory, options)]
    for await (const [key, value] of from.iterator()) if (!(await to.has(key))) await to.put(key, value)
    await from.close()
    await to.close()
    rmSync(earlier, { recursive: true })
    return directory
  }
}
