/**
 * What a thread does that stands by: it serves a small image of its own, in memory, takes its log over and commits
 * it. Code that runs for the first time is several times slower than later, and in a takeover the users of a mount
 * would wait for that.
 */
import { Buffer } from 'node:buffer'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import type { FileOperations, LateReplies, RequestContext } from '../../fuse/index.ts'
import type { Env } from '../env/env.ts'
import { systemEnv } from '../env/system.ts'
import { removeTree } from '../env/tree.ts'
import { isCode } from '../errors.ts'
import type { Engine } from '../image/engine.ts'
import { rootInode } from '../image/ingest.ts'
import { openLocalEngine } from '../image/local-engine.ts'
import { chunkBytes, KIB } from '../limits.ts'
import { initStore } from '../store/identity.ts'
import { HeadServer } from './head-server.ts'

/** Nothing of it is to reach a disk, nor to wait for one. */
const memoryDirectory = '/dev/shm'
const prefix = 'holdfast-practice-'
const image = 'practice'
/** Each leaves nine records; so many, and what is used most has been compiled. */
const roundCount = 300
/** So many take some milliseconds: then whoever wants the thread gets it. */
const roundsBetweenTurns = 20
const writeBytes = 4 * KIB
const fileChunks = 8

/** Ends early when `isWanted`. What cannot be practised here is not missed. */
export async function practise(isWanted: () => boolean): Promise<void> {
  const env = systemEnv()
  if (!env.exists(memoryDirectory)) return
  removeLeft(env)
  const name = `${prefix}${process.pid}-${env.randomBytes(8).toString('hex')}`
  const directory = join(memoryDirectory, name)
  try {
    initStore(env, directory)
    await live(directory, isWanted)
  } catch (error) {
    if (!isCode(error, 'NO_SPACE', 'IO')) throw error
  } finally {
    removeTree(env, directory)
  }
}

async function live(directory: string, isWanted: () => boolean): Promise<void> {
  await using engine = await openLocalEngine(directory)
  await engine.createImage({ image, base: [] })
  await serveOnce(engine, false, isWanted)
  if (isWanted()) return
  const segment = await serveOnce(engine, true, isWanted)
  if (!isWanted()) await engine.commit({ image, segment, kind: 'head' })
  await engine.closeHead({ image })
}

/** Returns the last segment. */
async function serveOnce(engine: Engine, takeover: boolean, isWanted: () => boolean): Promise<number> {
  const head = await engine.openHead({ image, takeover })
  const server = await HeadServer.open({
    head, syncMark: new SharedArrayBuffer(8), connection: 1, replies: nobody, post: () => undefined,
    requestCounts: () => ({ requests: 0, resent: 0 }),
  })
  await using _ = server
  if (takeover) return head.segment - 1
  await change(server.operations, isWanted)
  await engine.closeHead({ image })
  return head.segment
}

/** Nobody waits for an answer that comes late. */
const nobody: LateReplies = { failed: () => false, done: () => false, written: () => false, bytes: () => false }

async function change(operations: FileOperations, isWanted: () => boolean): Promise<void> {
  const disk = create(operations, contextOf(0), 'disk')
  for (let round = 1; round <= roundCount && !isWanted(); round += 1) {
    changeNames(operations, round)
    for (let part = 0; part < 4; part += 1) write(operations, disk, round, part)
    if (round % roundsBetweenTurns === 0) await turn()
  }
}

/** A file is made and renamed over the one before, a link is made and removed. */
function changeNames(operations: FileOperations, round: number): void {
  const context = contextOf(round)
  const [name, newName, link] = ['new', 'old', 'link'].map((text) => Buffer.from(text))
  const parent = rootInode
  create(operations, context, 'new')
  operations.rename?.(context, { parent, name, newParent: parent, newName, noReplace: false, exchange: false })
  operations.symlink?.(context, { parent, name: link, target: newName })
  operations.unlink?.(context, { parent, name: link })
  operations.lookup?.(context, { parent, name: newName })
}

function write(operations: FileOperations, node: number, round: number, part: number): void {
  const message = Buffer.alloc(headroomBytes + writeBytes, round)
  const payload = { message, payloadAt: headroomBytes, payloadBytes: writeBytes }
  const [chunk, within] = [(round + part) % fileChunks, (round * writeBytes) % chunkBytes]
  const how = { fromCache: false, killsPrivileges: false }
  operations.write?.(contextOf(round), { node, chunk, within, ...payload, ...how })
}

function create(operations: FileOperations, context: RequestContext, text: string): number {
  const request = { parent: rootInode, name: Buffer.from(text), mode: 0o644, exclusive: true, openFlags: 0 }
  const made = operations.create?.(context, request)
  return typeof made === 'object' ? made.node : 0
}

function contextOf(round: number): RequestContext {
  return { unique: round, resent: false, opcode: 0, uid: 0, gid: 0, pid: 0 }
}

/** Room for a log record's header before the payload. */
const headroomBytes = 80

/** What a process left that was killed while it practised. */
function removeLeft(env: Env): void {
  for (const name of env.readdir(memoryDirectory)) {
    const pid = name.startsWith(prefix) ? /^\d+/.exec(name.slice(prefix.length))?.[0] : undefined
    if (pid !== undefined && !env.exists(`/proc/${pid}`)) removeIfOurs(env, join(memoryDirectory, name))
  }
}

function removeIfOurs(env: Env, path: string): void {
  try {
    if (env.stat(path).uid === process.getuid?.()) removeTree(env, path)
  } catch (error) {
    // Another process that stands by was faster.
    if (!isCode(error, 'NOT_FOUND', 'IO')) throw error
  }
}
