/** Index runs that lead to packs which are gone. */
import { isCode } from '../../errors.ts'
import { RunTable, decodeRunTrailer, indexRunTrailerBytes } from '../../format/index-run.ts'
import { indexesDirectory } from '../layout.ts'
import { listNames } from '../list-names.ts'
import { joinPath } from '../paths.ts'
import { readRange } from '../read-object.ts'
import type { CallOptions, Replica } from '../replica.ts'

/** Ids of packs, in hex. */
export interface PackFates {
  readonly there: ReadonlySet<string>
  /** By this collection. */
  readonly removed: ReadonlySet<string>
}

/**
 * Runs of other stores that led to packs only which were removed just now: a run may come before its packs. Returns
 * how many were removed.
 */
export async function removeDeadRuns(
  replica: Replica, storeId: Buffer, { there, removed }: PackFates, call: CallOptions,
): Promise<number> {
  let count = 0
  for (const store of await listNames(replica, indexesDirectory, call)) {
    const directory = joinPath(indexesDirectory, store)
    const isDead = (pack: string): boolean => !there.has(pack) && removed.has(pack)
    if (store === storeId.toString('hex')) continue
    for await (const { name, bytes } of replica.list(directory, call)) {
      const path = joinPath(directory, name)
      const packs = await packsOfRun(replica, path, bytes, call)
      if (packs === null || !packs.every(isDead)) continue
      await replica.remove(path, call)
      count += 1
    }
  }
  return count
}

/** Ids, in hex. Null where they cannot be told: it was merged into another one, or is damaged. */
export async function packsOfRun(
  replica: Replica, path: string, bytes: number, call: CallOptions,
): Promise<string[] | null> {
  const trailerAt = bytes - indexRunTrailerBytes
  if (trailerAt < 0) return null
  try {
    const trailer = await readRange(replica, path, { offset: trailerAt, bytes: indexRunTrailerBytes }, call)
    const shape = decodeRunTrailer(trailer, bytes)
    const table = { offset: shape.tableAt, bytes: trailerAt - shape.tableAt }
    return new RunTable(shape, await readRange(replica, path, table, call)).packs()
  } catch (error) {
    if (isCode(error, 'NOT_FOUND', 'DAMAGED', 'BAD_FORMAT', 'NEWER_VERSION')) return null
    throw error
  }
}
