/** Names and what they stand for: everything that a NameNode does without a DataNode. */
import { Buffer } from 'node:buffer'
import { HoldfastError } from '../../errors.ts'
import type { Call } from '../call.ts'
import { type FileStatus, fileStatus } from './json.ts'
import type { Answer, NameNodes } from './name-nodes.ts'
import { refusedError } from './remote.ts'

/** fail: the target must not exist. replace: an object there is replaced. */
export type RenameMode = 'fail' | 'replace'

export class NameSpace {
  readonly #nameNodes: NameNodes

  constructor(nameNodes: NameNodes) {
    this.#nameNodes = nameNodes
  }

  /** Null when there is nothing. */
  async status(call: Call, path: string): Promise<FileStatus | null> {
    const answer = await this.#nameNodes.ask(call, {
      method: 'GET', operation: 'GETFILESTATUS', path, effect: 'none',
    })
    if (answer.kind === 'refused' && answer.failure.refusal === 'absent') return null
    return fileStatus(done(answer, `looking at ${path}`).field('FileStatus'))
  }

  /** A page of entries behind `after`, by name, and how many are behind it. Errors: NOT_FOUND. */
  async page(call: Call, path: string, after: string): Promise<{ entries: FileStatus[]; remaining: number }> {
    const json = await this.#nameNodes.demand(call, {
      method: 'GET', operation: 'LISTSTATUS_BATCH', path, effect: 'none',
      parameters: after === '' ? {} : { startAfter: after },
    }, `listing ${path}`)
    const listing = json.field('DirectoryListing')
    const items = listing.field('partialListing').field('FileStatuses').field('FileStatus').items()
    const entries = items.map(fileStatus)
    const remaining = listing.field('remainingEntries').count()
    // An object is listed as itself, without a name.
    if (entries.length === 1 && entries[0].name === '') {
      throw new HoldfastError('NOT_FOUND', `listing ${path}: it is an object, not a directory`)
    }
    checkOrder(path, after, entries, remaining)
    return { entries, remaining }
  }

  /** One try; see settle.ts for what it means. */
  rename(call: Call, from: string, to: string, mode: RenameMode): Promise<Answer> {
    const destination = this.#nameNodes.absolute(to)
    const renameoptions = mode === 'replace' ? 'OVERWRITE' : 'NONE'
    return this.#nameNodes.ask(call, {
      method: 'PUT', operation: 'RENAME', path: from, effect: 'once', parameters: { destination, renameoptions },
    })
  }

  async makeDirectory(call: Call, path: string): Promise<void> {
    const answer = await this.#nameNodes.ask(call, {
      method: 'PUT', operation: 'MKDIRS', path, effect: 'repeatable', parameters: { permission: '700' },
    })
    const isInTheWay = answer.kind === 'refused'
      && ['FileAlreadyExistsException', 'ParentNotDirectoryException'].includes(answer.failure.exception)
    if (isInTheWay) throw new HoldfastError('EXISTS', `making ${path}: an object is in the way`)
    const json = done(answer, `making ${path}`)
    if (!json.field('boolean').flag()) throw new HoldfastError('IO', `making ${path}: HDFS did not do it`)
  }

  /** Also when there is nothing. Errors: EXISTS when it is a directory that is not empty, unless `deep`. */
  async remove(call: Call, path: string, depth: 'shallow' | 'deep' = 'shallow'): Promise<void> {
    await this.#nameNodes.demand(call, {
      method: 'DELETE', operation: 'DELETE', path, effect: 'repeatable',
      parameters: { recursive: `${depth === 'deep'}` },
    }, `removing ${path}`)
  }

  /** In how many places each block is. Errors: NOT_FOUND. */
  async blockCopies(call: Call, path: string): Promise<number[]> {
    const json = await this.#nameNodes.demand(call, {
      method: 'GET', operation: 'GETFILEBLOCKLOCATIONS', path, effect: 'none',
    }, `looking for the copies of ${path}`)
    const blocks = json.field('BlockLocations').field('BlockLocation').items()
    return blocks.map((block) => block.field('names').items().length)
  }

  /** How many copies HDFS makes of an object, in time. Errors: NOT_FOUND. */
  async copiesMeant(call: Call, path: string): Promise<number> {
    const json = await this.#nameNodes.demand(call, {
      method: 'GET', operation: 'GETFILESTATUS', path, effect: 'none',
    }, `looking for the copies of ${path}`)
    return json.field('FileStatus').field('replication').count()
  }

  async summary(call: Call, path: string): Promise<{ objectCount: number; objectBytes: number }> {
    const json = await this.#nameNodes.demand(call, {
      method: 'GET', operation: 'GETCONTENTSUMMARY', path, effect: 'none',
    }, 'asking for the usage')
    const summary = json.field('ContentSummary')
    return { objectCount: summary.field('fileCount').count(), objectBytes: summary.field('length').count() }
  }

  /** Of the whole cluster, copies counted; null where the NameNode is too old to say. */
  async freeBytes(call: Call): Promise<number | null> {
    const answer = await this.#nameNodes.ask(call, { method: 'GET', operation: 'GETSTATUS', path: '', effect: 'none' })
    return answer.kind === 'done' ? answer.json.field('FsStatus').field('remaining').count() : null
  }
}

function done(answer: Answer, doing: string) {
  if (answer.kind === 'done') return answer.json
  if (answer.kind === 'refused') throw refusedError(answer.failure, doing)
  throw new HoldfastError('REPLICA_UNCLEAR', `${doing}: the answer was lost`)
}

/** A listing that does not go on would never end. */
function checkOrder(path: string, after: string, entries: readonly FileStatus[], remaining: number): void {
  let last = Buffer.from(after)
  for (const { name } of entries) {
    const next = Buffer.from(name)
    if (Buffer.compare(last, next) >= 0) {
      throw new HoldfastError('REPLICA_FAULT', `the replica lists ${path} in no order`)
    }
    last = next
  }
  if (entries.length === 0 && remaining > 0) {
    throw new HoldfastError('REPLICA_FAULT', `the replica lists nothing of the ${remaining} entries of ${path}`)
  }
}
