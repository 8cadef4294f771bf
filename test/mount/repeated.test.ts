/**
 * Requests that a killed server had logged and perhaps not answered, for every operation that changes
 * something: the next server answers as the first one did, and changes nothing.
 */
import { Buffer } from 'node:buffer'
import { readdirSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { ERRNO, KernelReplies, opcodeTable } from '../../fuse/index.ts'
import type { Entry, FileOperations, RequestContext, SetattrRequest, WriteRequest } from '../../fuse/index.ts'
import { rootInode } from '../../src/image/ingest.ts'
import { HeadOperations } from '../../src/mount/operations.ts'
import { ParkedWrites } from '../../src/mount/parked-writes.ts'
import { ReadRecorder } from '../../src/mount/read-recorder.ts'
import { answeringRepeated, CarriedOut } from '../../src/mount/repeated.ts'
import { makeRig, openHead } from '../image/rig.ts'
import type { HeadRig, Rig } from '../image/rig.ts'

type Call = (operations: FileOperations, context: RequestContext, nodes: Nodes) => unknown
interface Nodes {
  file: number
  directory: number
}
interface Case {
  readonly call: Call
  /** What it would answer if it were carried out twice; absent where that is harmless. */
  readonly again?: number
}

const name = (text: string): { parent: number; name: Buffer } => ({ parent: rootInode, name: Buffer.from(text) })
const made = { mode: 0o640, umask: 0, exclusive: true, openFlags: 0 }
const moved = { noReplace: false, exchange: false, parent: rootInode, newParent: rootInode }
const attribute = { name: Buffer.from('user.a'), value: Buffer.from('v'), createOnly: true, replaceOnly: false }

function setattr(node: number, fields: Partial<SetattrRequest>): SetattrRequest {
  return { node, killsPrivileges: false, ...fields } as SetattrRequest
}

function writeOf(node: number, text: string, killsPrivileges = false): WriteRequest {
  const message = Buffer.concat([Buffer.alloc(80), Buffer.from(text)])
  return { node, chunk: 0, within: 3, message, payloadAt: 80, payloadBytes: text.length, killsPrivileges } as WriteRequest
}

const cases: Record<string, Case> = {
  symlink: {
    call: (operations, context) => operations.symlink(context, { ...name('new'), target: Buffer.from('to') }),
    again: -ERRNO.EEXIST,
  },
  mknod: {
    call: (operations, context) => operations.mknod(context, { ...name('new'), ...made, mode: 0o10600, deviceNumber: 0 }),
    again: -ERRNO.EEXIST,
  },
  mkdir: { call: (operations, context) => operations.mkdir(context, { ...name('new'), ...made }), again: -ERRNO.EEXIST },
  create: { call: (operations, context) => operations.create(context, { ...name('new'), ...made }), again: -ERRNO.EEXIST },
  link: {
    call: (operations, context, { file }) => operations.link(context, { node: file, ...name('new') }),
    again: -ERRNO.EEXIST,
  },
  unlink: { call: (operations, context) => operations.unlink(context, name('file')), again: -ERRNO.ENOENT },
  rmdir: { call: (operations, context) => operations.rmdir(context, name('directory')), again: -ERRNO.ENOENT },
  rename: {
    call: (operations, context) =>
      operations.rename(context, { ...moved, name: Buffer.from('file'), newName: Buffer.from('new') }),
    again: -ERRNO.ENOENT,
  },
  exchange: {
    call: (operations, context) =>
      operations.rename(context, { ...moved, exchange: true, name: Buffer.from('file'), newName: Buffer.from('directory') }),
  },
  setattr: {
    call: (operations, context, { file }) =>
      operations.setattr(context, setattr(file, { size: 5n, mode: 0o600, uid: 7, modified: 'now' })),
  },
  truncate: { call: (operations, context, { file }) => operations.setattr(context, setattr(file, { size: 5n })) },
  setxattr: {
    call: (operations, context, { directory }) => operations.setxattr?.(context, { node: directory, ...attribute }),
    again: -ERRNO.EEXIST,
  },
  removexattr: {
    call: (operations, context, { file }) => operations.removexattr?.(context, { node: file, name: attribute.name }),
    again: -ERRNO.ENODATA,
  },
  write: { call: (operations, context, { file }) => operations.write(context, writeOf(file, 'bytes', true)) },
  fallocate: {
    call: (operations, context, { file }) => operations.fallocate?.(context, {
      node: file, offset: 2n, bytes: 20n, keepSize: false, kind: 'zero',
    } as never),
  },
}

let lastUnique = 100

function contextOf(resent: boolean, unique: number): RequestContext {
  return { unique, resent, opcode: 0, uid: 0, gid: 0, pid: 1 }
}

function operationsOn(rig: HeadRig, carriedOut?: CarriedOut): FileOperations {
  const operations = new HeadOperations({
    head: rig.head, parked: new ParkedWrites(new KernelReplies(-1)), recorder: new ReadRecorder(), post: () => undefined,
  })
  return carriedOut === undefined ? operations : answeringRepeated(operations, carriedOut)
}

/** A head with a file that has privileges, contents and an attribute, and a directory. */
async function prepared(t: ExecutionContext): Promise<{ rig: Rig; head: HeadRig; nodes: Nodes }> {
  const rig = await makeRig()
  t.teardown(() => rig.remove())
  await rig.engine.createImage({ image: 'a', base: [] })
  const head = await openHead(await rig.engine.openHead({ image: 'a' }))
  const operations = operationsOn(head)
  const context = (): RequestContext => contextOf(false, (lastUnique += 2))
  const file = (operations.create(context(), { ...name('file'), ...made, mode: 0o4755 }) as Entry).node
  const directory = (operations.mkdir(context(), { ...name('directory'), ...made }) as Entry).node
  operations.write(context(), writeOf(file, 'contents of it'))
  operations.setxattr?.(context(), { node: file, ...attribute })
  operations.setxattr?.(context(), { node: file, ...attribute, name: Buffer.from('security.capability') })
  return { rig, head, nodes: { file, directory } }
}

async function takenOver(rig: Rig, before: HeadRig): Promise<HeadRig> {
  await before.close()
  await rig.engine.closeHead({ image: 'a' })
  return openHead(await rig.engine.openHead({ image: 'a', takeover: true }))
}

test('each operation that changes something has its case', (t) => {
  const changing = opcodeTable.filter(({ mutates, operation }) => mutates && operation !== null)
  const operations = new Set(changing.map(({ operation }) => operation as string))
  // The kernel copies by reading and writing, as we have no method for it.
  operations.delete('copyFileRange')
  t.deepEqual([...operations].filter((operation) => !(operation in cases)), [])
})

for (const [title, { call, again }] of Object.entries(cases)) {
  test(`${title} is answered again as it was, and not done again`, async (t) => {
    const { rig, head, nodes } = await prepared(t)
    const unique = (lastUnique += 2)
    const first = call(operationsOn(head), contextOf(false, unique), nodes)
    t.false(typeof first === 'number' && first < 0, `answered ${String(first)}`)
    const next = await takenOver(rig, head)
    t.teardown(() => next.close())
    const carriedOut = new CarriedOut(next.carriedOut)
    const { sequence } = next.head.log
    t.deepEqual(call(operationsOn(next, carriedOut), contextOf(true, unique), nodes), first)
    t.is(next.head.log.sequence, sequence, 'nothing was logged')
    t.is(carriedOut.answered, 1)
    if (again !== undefined) t.is(call(operationsOn(next), contextOf(true, unique), nodes), again)
  })

  test(`${title} that no server carried out whole is carried out when it is sent again`, async (t) => {
    const { rig, head, nodes } = await prepared(t)
    const log = join(rig.directory, 'images', 'a', 'log')
    const path = join(log, readdirSync(log)[0])
    const wanted = await outcome(t, title, call)
    const unique = (lastUnique += 2)
    call(operationsOn(head), contextOf(false, unique), nodes)
    // The last record is torn: all that the request did before it is there.
    truncateSync(path, statSync(path).size - 1)
    const next = await takenOver(rig, head)
    t.teardown(() => next.close())
    const carriedOut = new CarriedOut(next.carriedOut)
    const answer = call(operationsOn(next, carriedOut), contextOf(true, unique), nodes)
    t.is(carriedOut.answered, 0)
    t.deepEqual(withoutTimes(answer), wanted)
  })
}

/** What the operation answers where no server is killed. */
async function outcome(t: ExecutionContext, title: string, call: Call): Promise<unknown> {
  const { rig, head, nodes } = await prepared(t)
  const answer = call(operationsOn(head), contextOf(false, (lastUnique += 2)), nodes)
  t.truthy(title)
  await head.close()
  await rig.engine.closeHead({ image: 'a' })
  return withoutTimes(answer)
}

function withoutTimes(answer: unknown): unknown {
  return JSON.parse(JSON.stringify(answer, (key, value: unknown) =>
    ['accessed', 'modified', 'changed'].includes(key) ? undefined : typeof value === 'bigint' ? String(value) : value))
}

test('a request of a mount before, or one that is new, is not taken for carried out', async (t) => {
  const { rig, head, nodes } = await prepared(t)
  const unique = (lastUnique += 2)
  cases.unlink.call(operationsOn(head), contextOf(false, unique), nodes)
  const next = await takenOver(rig, head)
  t.teardown(() => next.close())
  const carriedOut = new CarriedOut(next.carriedOut)
  t.false(carriedOut.has(contextOf(false, unique)))
  t.false(carriedOut.has(contextOf(true, unique + 1)))
  t.true(carriedOut.has(contextOf(true, unique)))
  carriedOut.end()
  t.false(carriedOut.has(contextOf(true, unique)))
})
