/** A store in a temporary directory with one image, its engine, and a head over it without a mount. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemEnv } from '../../src/env/system.ts'
import type { Engine } from '../../src/image/engine.ts'
import { Head } from '../../src/image/head.ts'
import { replayLog } from '../../src/image/head-replay.ts'
import { ImageLayout } from '../../src/image/layout.ts'
import type { LogFollower } from '../../src/image/log-follower.ts'
import { LogWriter } from '../../src/image/log-writer.ts'
import { SyncMark } from '../../src/image/sync-mark.ts'
import type { HeadStart } from '../../src/image/types.ts'
import { initStore, openChunkReader, openLocalEngine } from './variant.ts'

export interface Rig {
  /** Holds the store and whatever a test puts beside it. */
  parent: string
  directory: string
  engine: Engine
  remove(): Promise<void>
}

export async function makeRig(): Promise<Rig> {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-image-'))
  const store = join(directory, 'store')
  initStore(systemEnv(), store)
  const engine = await openLocalEngine(store)
  return {
    parent: directory,
    directory: store,
    engine,
    async remove() {
      await engine.close().catch(() => undefined)
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

export interface HeadRig {
  start: HeadStart
  /** Requests that the log of the server before holds. */
  carriedOut: Set<number>
  head: Head
  rotated: number[]
  failures: unknown[]
  close(): Promise<void>
}

/** A head as a mount's worker makes it. `ahead` followed its log. */
export async function openHead(
  start: HeadStart, env = systemEnv(), syncMark = new SyncMark(), connection = 1, ahead?: LogFollower,
): Promise<HeadRig> {
  await using resources = new AsyncDisposableStack()
  const reader = resources.use(await openChunkReader(env, start.directory))
  const log = resources.use(new LogWriter(env, new ImageLayout(start.directory, start.image), {
    imageId: Buffer.from(start.imageId, 'hex'), domainId: Buffer.from(start.domainId, 'hex'), keys: reader.keys,
  }, { segment: start.segment, sequence: start.sequence, connection, syncMark }))
  const rotated: number[] = []
  const failures: unknown[] = []
  const head = new Head(env, reader, log, start, {
    rotated: (segment) => rotated.push(segment), syncDue: () => undefined, failed: (error) => failures.push(error),
  })
  const { takeover } = start
  const carriedOut = takeover === null ? new Set<number>() : replayLog(env, head, start, takeover, connection, ahead)
  if (start.takeover !== null) head.loseReferences()
  const held = resources.move()
  return { start, carriedOut, head, rotated, failures, close: () => held.disposeAsync() }
}
