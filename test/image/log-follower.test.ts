/**
 * A log is followed while it is written: at each call of the follower to the system the writer goes on by some steps,
 * of which each is as small as the system makes it (a file made, some bytes of a record written, a file removed). What
 * was read so leads to the same head as the log read in one go, or is known not to be all.
 */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import type { Env, EnvFile } from '../../src/env/env.ts'
import { systemEnv } from '../../src/env/system.ts'
import { decodeEffects, encodeEffects } from '../../src/format/effects.ts'
import type { Effect } from '../../src/format/effects.ts'
import { decodeInode, encodeInode } from '../../src/format/inode.ts'
import type { InodeRecord } from '../../src/format/inode.ts'
import { logRecordHeaderBytes, recordType } from '../../src/format/log.ts'
import type { Lane, RecordType } from '../../src/format/log.ts'
import type { Head } from '../../src/image/head.ts'
import { InodeState } from '../../src/image/inode-state.ts'
import { ImageLayout } from '../../src/image/layout.ts'
import { LogFollower } from '../../src/image/log-follower.ts'
import { LogWriter } from '../../src/image/log-writer.ts'
import type { LoggedChanges } from '../../src/image/logged-changes.ts'
import { NameOverlay } from '../../src/image/names.ts'
import { chunkBytes } from '../../src/limits.ts'
import { testKeys } from '../crypto/keys.ts'
import { Random } from '../random.ts'
import { isEncrypted } from '../store/variant.ts'

const system = systemEnv()
const keys = isEncrypted ? testKeys : null
const imageId = Buffer.alloc(16, 0x1a)
const record: InodeRecord = {
  mode: 0o100644, uid: 1, gid: 2, linkCount: 1, deviceNumber: 0, size: 3n * 65_536n, accessedNs: 1n, modifiedNs: 2n,
  changedNs: 3n, isMemory: false, isLinkable: false, target: Buffer.alloc(0), dataRoot: null, attributesRoot: null,
}

/** What the manifest says of an inode. */
interface Committed extends InodeRecord {
  block?: Buffer
}

/** Inodes that the manifest has, and those that the log makes. */
const [inManifest, made] = [[1, 2, 3], [10, 11, 12]]

/** What a log's writer, and the commits behind it, do to the disk, in steps to be taken one after the other. */
class WrittenLog {
  readonly layout: ImageLayout
  readonly #random: Random
  readonly #steps: (() => void)[] = []
  #writer: LogWriter
  #connection = 1
  /** Of what is committed, as the record on the disk says; steps change it. */
  committed = { segment: 0, sequence: 100, connection: 1 }
  readonly manifest = new Map<number, Committed>(inManifest.map((number) => [number, record]))
  /** What is not committed would do to the manifest. */
  #changes: { segment: number; sequence: number; apply: (inodes: Map<number, Committed>) => void }[] = []
  /** First sequence of each segment that was begun and is not committed, as the writer sees it. */
  #begun: { segment: number; sequence: number }[] = []

  constructor(t: ExecutionContext, random: Random) {
    this.#random = random
    const directory = fs.mkdtempSync(join(tmpdir(), 'holdfast-follow-'))
    t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }))
    this.layout = new ImageLayout(directory, 'image')
    fs.mkdirSync(this.layout.log, { recursive: true })
    this.#writer = this.#open(1, 100)
  }

  /** Takes some of the steps; plans more where few are left. */
  go(steps: number): void {
    for (let left = steps; left > 0; left -= 1) {
      while (this.#steps.length < 4) this.#plan()
      this.#steps.shift()!()
    }
  }

  /** The writer is killed: the step that it was at is its last. */
  pending(): number[] {
    const names = fs.readdirSync(this.layout.log).map((name) => Number(name.slice(0, name.indexOf('.'))))
    return [...new Set(names)].filter((segment) => segment > this.committed.segment).sort((a, b) => a - b)
  }

  #plan(): void {
    const at = this.#random.below(100)
    if (at < 50) this.#append(this.#random.below(4) === 0 ? 'memory' : 'disk', recordType.write)
    else if (at < 56) this.#append('disk', recordType.zero)
    else if (at < 62) this.#append('disk', recordType.truncate)
    else if (at < 82) this.#append('disk', recordType.effects)
    else if (at < 93) this.#rotate()
    else if (at < 99) this.#commit()
    else this.#mountAgain()
  }

  #append(lane: Lane, type: RecordType): void {
    const { chunk, within } = { chunk: this.#random.below(5), within: this.#random.below(chunkBytes) }
    const inode = this.#random.pick(lane === 'memory' ? [3] : inManifest)
    const place = type === recordType.effects ? { inode: 0, chunk: 0, within: 0 } : { inode, chunk, within }
    const message = Buffer.concat([Buffer.alloc(logRecordHeaderBytes), this.#payload(type)])
    this.#change(type, inode, chunk * chunkBytes + within, message.subarray(logRecordHeaderBytes))
    const request = { type, unique: BigInt(this.#writer.sequence), timeNs: BigInt(this.#writer.sequence), ...place }
    const payloadBytes = message.length - logRecordHeaderBytes
    this.#writer.append(lane, request, message, logRecordHeaderBytes, payloadBytes)
  }

  #change(type: RecordType, inode: number, offset: number, payload: Buffer): void {
    const { segment, sequence } = this.#writer
    const timeNs = BigInt(sequence)
    this.#changes.push({
      segment, sequence,
      apply(inodes) {
        if (type === recordType.effects) return decodeEffects(payload).forEach((effect) => applyEffect(inodes, effect))
        const before = inodes.get(inode)!
        const end = BigInt(offset + payload.length)
        const size = type === recordType.truncate || (type === recordType.write && end > before.size) ? end : before.size
        inodes.set(inode, { ...before, size, modifiedNs: timeNs, changedNs: timeNs })
      },
    })
  }

  /** Carries out what is committed up to a segment; what a going back left out is forgotten. */
  #fold(segment: number, sequence: number): void {
    for (const change of this.#changes) {
      if (change.segment < segment && change.sequence < sequence) change.apply(this.manifest)
    }
    this.#changes = this.#changes.filter((change) => change.segment >= segment)
  }

  #payload(type: RecordType): Buffer {
    switch (type) {
      case recordType.write:
        return Buffer.alloc(1 + this.#random.below(this.#random.below(8) === 0 ? 200_000 : 5000), 7)
      case recordType.zero: {
        const bytes = Buffer.alloc(8)
        bytes.writeBigUInt64LE(BigInt(1 + this.#random.below(3 * chunkBytes)))
        return bytes
      }
      case recordType.truncate:
        return Buffer.alloc(0)
      case recordType.effects:
        return encodeEffects(this.#effects())
    }
  }

  #effects(): Effect[] {
    const inode = this.#random.pick([...inManifest, ...made])
    const mode = 0o100000 + this.#random.below(0o1000)
    const attributes: Effect = { kind: 'inode', inode, record: encodeInode({ ...record, mode }) }
    const name = Buffer.from(`name-${this.#random.below(6)}`)
    const named: Effect = { kind: 'name', parent: 1, name, inode, type: 8 }
    switch (this.#random.below(5)) {
      case 0:
        return [attributes, { kind: 'nameRemoved', parent: 1, name }]
      case 1:
        return [{ kind: 'inodeRemoved', inode: this.#random.pick(made) }]
      case 2:
        return [attributes, { kind: 'attributes', inode, block: Buffer.alloc(this.#random.below(20), 5) }]
      default:
        return [attributes, named]
    }
  }

  #rotate(): void {
    this.#writer.rotate()
    this.#begun.push({ segment: this.#writer.segment, sequence: this.#writer.sequence })
  }

  /** A record that covers some segments is there at once; their files go one by one, in any order. */
  #commit(): void {
    const count = this.#random.below(this.#begun.length)
    if (count === 0) return
    this.#cover(this.#begun[count])
    this.#begun.splice(0, count)
  }

  #cover({ segment, sequence }: { segment: number; sequence: number }): void {
    const committed = { segment: segment - 1, sequence, connection: this.#connection }
    this.#steps.push(() => {
      this.committed = committed
      const files = fs.readdirSync(this.layout.log).filter((name) => Number(name.slice(0, name.indexOf('.'))) < segment)
      if (this.#random.below(2) === 0) files.reverse()
      this.#steps.unshift(...files.map((name) => () => fs.rmSync(join(this.layout.log, name))))
      this.#fold(segment, sequence)
    })
  }

  /** After a going back that leaves out what was not committed, so that its sequences are given again. */
  #mountAgain(): void {
    const [{ sequence }] = this.#begun
    const next = this.#writer.segment + 1 + this.#random.below(2)
    this.#connection += 1
    const goesBack = this.#random.below(2) === 0
    this.#cover({ segment: next, sequence: goesBack ? sequence : this.#writer.sequence })
    this.#writer.close()
    this.#writer = this.#open(next, goesBack ? sequence : this.#writer.sequence)
  }

  #open(segment: number, sequence: number): LogWriter {
    this.#begun = [{ segment, sequence }]
    const identity = { domainId: Buffer.alloc(16, 0xd0), imageId, keys }
    return new LogWriter(this.#env(), this.layout, identity, { segment, sequence, connection: this.#connection })
  }

  /** Of the writer, whose calls become steps. */
  #env(): Env {
    const open = (path: string): EnvFile => {
      this.#steps.push(() => fs.writeFileSync(path, ''))
      const write = (source: Uint8Array, position: number): void => this.#write(path, Buffer.from(source), position)
      return {
        path, fd: -1, write, truncate: () => undefined, close: () => undefined,
        writev: (sources: readonly Uint8Array[], position: number) => write(Buffer.concat(sources), position),
      } as unknown as EnvFile
    }
    return { ...system, open }
  }

  /** In some pieces, each of which makes the file longer; at times the first ones are of a write that failed. */
  #write(path: string, bytes: Buffer, position: number): void {
    const isFailed = this.#random.below(12) === 0
    if (isFailed) this.#piece(path, Buffer.alloc(1 + this.#random.below(bytes.length), 9), position)
    for (let at = 0; at < bytes.length; ) {
      const count = this.#random.below(3) === 0 ? bytes.length - at : 1 + this.#random.below(bytes.length - at)
      this.#piece(path, bytes.subarray(at, at + count), position + at)
      at += count
    }
  }

  #piece(path: string, bytes: Buffer, position: number): void {
    this.#steps.push(() => {
      const descriptor = fs.openSync(path, 'r+')
      fs.writeSync(descriptor, bytes, 0, bytes.length, position)
      fs.closeSync(descriptor)
    })
  }
}

function applyEffect(inodes: Map<number, Committed>, effect: Effect): void {
  if (effect.kind === 'inodeRemoved') inodes.delete(effect.inode)
  if (effect.kind === 'attributes') inodes.set(effect.inode, { ...inodes.get(effect.inode)!, block: effect.block })
  if (effect.kind !== 'inode') return
  inodes.set(effect.inode, { ...decodeInode(effect.record), block: inodes.get(effect.inode)?.block })
}

/** Of the follower: while it runs, the writer does. */
function watchingEnv(random: Random, log: WrittenLog): Env & { isOver: boolean } {
  const go = (): void => {
    if (!watching.isOver) log.go(random.below(4))
  }
  const watching = {
    ...system,
    isOver: false,
    readdir(path: string) {
      go()
      const names = system.readdir(path)
      go()
      return names
    },
    open(path: string, mode: 'read') {
      go()
      const file = system.open(path, mode)
      const [read, size] = [file.read.bind(file), file.size.bind(file)]
      return Object.assign(file, {
        read: (target: Uint8Array, position: number) => (go(), read(target, position)), size: () => (go(), size()),
      })
    },
  }
  return watching
}

/** A head's state in words, after the changes were laid over the manifest. */
function shown(changes: LoggedChanges, manifest: ReadonlyMap<number, Committed>): unknown {
  const states = new Map([...manifest].map(([number, committed]) => {
    return [number, new InodeState(number, committed, new NameOverlay())]
  }))
  const dropped: [number, number][] = []
  const head = {
    drop: (number: number, segment: number) => (dropped.push([number, segment]), states.delete(number)),
    inode: (number: number) => states.get(number) ?? null,
    addInode(number: number, from: InodeRecord) {
      states.set(number, new InodeState(number, from, new NameOverlay()))
      return states.get(number)
    },
    markDirty: (state: InodeState, segment: number) => (state.dirtySegment = segment),
  }
  changes.layOver(head as unknown as Head)
  const words = [...states.values()].sort((a, b) => a.number - b.number).map((state) => ({
    ...state.toRecord(), dirty: state.dirtySegment, block: (state.attributeBlock ?? manifest.get(state.number)?.block)?.toString('hex'),
    names: state.names.sorted().map(({ name, segment, entry }) => [name.toString(), segment, entry]),
    chunks: [0, 1, 2, 3, 4, 5, 6, 7, 8].map((chunk) => runsOf(state, chunk, manifest.get(state.number)?.size ?? 0n)),
  }))
  return { words, dropped: dropped.sort(([a], [b]) => a - b) }
}

/** Where the bytes of a chunk come from: zeros that a cut made are the same as those of a hole. */
function runsOf({ extents }: InodeState, chunk: number, committedSize: bigint): unknown[] {
  const committed = Math.min(extents.committedBytes(chunk), Math.max(0, Number(committedSize) - chunk * chunkBytes))
  const runs: { to: number; of: string }[] = []
  const add = (to: number, of: string): void => {
    const last = runs.at(-1)
    if (last !== undefined && last.of === 'zeros' && of === 'zeros') last.to = to
    else if (to > (last?.to ?? 0)) runs.push({ to, of })
  }
  const addBelow = (to: number): void => {
    add(Math.min(to, Math.max(committed, runs.at(-1)?.to ?? 0)), 'what is committed')
    if (to > (runs.at(-1)?.to ?? 0)) add(to, 'zeros')
  }
  for (const { from, to, segment, position } of extents.pieces(chunk) ?? []) {
    addBelow(from)
    add(to, position < 0 ? 'zeros' : `${segment} at ${position}`)
  }
  addBelow(chunkBytes)
  return runs
}

const rounds = 25

test('a log that is followed while it is written, rotated, committed and begun anew is read as it is', (t) => {
  const random = Random.announced(t)
  const counts = { whole: 0, files: 0 }
  for (let round = 0; round < rounds; round += 1) {
    const log = new WrittenLog(t, random)
    const env = watchingEnv(random, log)
    using follower = new LogFollower(env, log.layout, keys)
    for (let polls = random.below(40); polls > 0; polls -= 1) {
      log.go(random.below(random.below(5) === 0 ? 200 : 10))
      follower.catchUp(1 + random.below(60))
    }
    env.isOver = true
    const [pending, { sequence, connection }] = [log.pending(), log.committed]
    using anew = new LogFollower(system, log.layout, keys, connection)
    t.true(anew.finish(imageId, pending, sequence, connection), 'read in one go')
    if (!follower.finish(imageId, pending, sequence, connection)) continue
    counts.whole += 1
    t.deepEqual(shown(follower.changes, log.manifest), shown(anew.changes, log.manifest), `round ${round}`)
    const [read, all] = [follower, anew].map((each) => each.takeFiles().map((file) => {
      const { lane, segment, bytes, records, lastSequence } = file
      file.close()
      return { lane, segment, bytes, records, lastSequence }
    }).filter(({ records }) => records > 0).sort((a, b) => a.segment - b.segment || a.lane.localeCompare(b.lane)))
    t.deepEqual(read, all, `round ${round}`)
    counts.files += read.length
  }
  t.log(counts)
  t.true(counts.whole > rounds / 2 && counts.files > rounds, 'mostly it was')
})
