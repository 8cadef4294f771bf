/**
 * A store with some of everything (versions, a fork, a machine's state, directories, a committed head, a log behind it,
 * closed packs and open ones), of which copies are spoilt, checked and mended: each flip is counted as found, healed
 * and harmless.
 */
import { Buffer } from 'node:buffer'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { basename, join, relative } from 'node:path'
import process from 'node:process'
import { systemEnv } from '../../src/env/system.ts'
import { isCode } from '../../src/errors.ts'
import type { Engine } from '../../src/image/engine.ts'
import type { CheckReport } from '../../src/image/types.ts'
import { distrustIndex } from '../../src/store/index-mark.ts'
import { StoreLayout } from '../../src/store/layout.ts'
import type { Random } from '../random.ts'
import { openHead } from './rig.ts'
import type { Rig } from './rig.ts'
import { openLocalEngine } from './variant.ts'
import { Work } from './work.ts'

/** Small packs, so that there are closed ones. */
export const packBytesMax = 300_000

/** What must come back byte for byte: files of epochs, states of machines, and what the log holds. */
export type Contents = Map<string, string>

export async function makeStore(rig: Rig, random: Random): Promise<void> {
  await rig.engine.close()
  rig.engine = await openLocalEngine(rig.directory, { packBytesMax })
  const work = new Work(rig, 'vm')
  await work.engine.createImage({ image: 'vm', base: [] })
  await work.open()
  for (let epoch = 1; epoch <= 4; epoch++) {
    for (let count = 0; count < 5; count++) work.write('disk', random.bytes(3000), random.below(600_000))
    work.write(`file ${epoch}`, random.bytes(20_000))
    await work.commit('epoch', {
      note: `number ${epoch}`, machine: { state: random.bytes(70_000), facts: { epoch }, pauseMs: epoch },
    })
  }
  await work.engine.fork({ epoch: 'vm@2', image: 'fork' })
  work.write('disk', random.bytes(5000), 100_000)
  await work.commit('head')
  for (let count = 0; count < 6; count++) work.write('disk', random.bytes(1000 + random.below(70_000)), count * 90_000)
  await work.abandon()
  await work.engine.close()
}

export async function contentsOf(engine: Engine, directory: string): Promise<Contents> {
  const contents: Contents = new Map()
  for (const { image } of await engine.images()) {
    for (const { number } of await engine.log({ image })) await addEpoch(engine, directory, `${image}@${number}`, contents)
  }
  const { head, close } = await openHead(await engine.openHead({ image: 'vm' }))
  contents.set('the head of vm', Buffer.from(JSON.stringify(head.manifest, simple)).toString('base64'))
  await close()
  await engine.closeHead({ image: 'vm' })
  return contents
}

async function addEpoch(engine: Engine, directory: string, epoch: string, contents: Contents): Promise<void> {
  const { files, root, machine, note } = await engine.show({ epoch })
  contents.set(epoch, JSON.stringify({ files, root, machine, note }))
  if (machine) contents.set(`${epoch} state`, Buffer.from((await engine.machineState({ epoch })).state).toString('base64'))
  for (const name of ['disk', 'file 1', 'file 2', 'file 3', 'file 4']) {
    const file = join(directory, 'exported')
    fs.rmSync(file, { force: true })
    try {
      await engine.exportFile({ epoch, path: `/${name}`, file, format: 'raw' })
      contents.set(`${epoch}:/${name}`, fs.readFileSync(file).toString('base64'))
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'NOT_FOUND')) throw error
    }
  }
}

function simple(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}

export interface FlipTally {
  tried: number
  found: number
  healed: number
  /** Nothing depends on the bit: a cache, a blank. */
  harmless: number
}

export interface FlipOutcome {
  readonly kind: string
  readonly where: string
  readonly isFound: boolean
  readonly isHealed: boolean
  readonly isHarmless: boolean
  readonly report: CheckReport | null
}

/** Flips one bit of one file of a copy of the store, opens, checks with repair, and compares. */
export async function flipOnce(pristine: string, copy: string, random: Random, wanted: Contents): Promise<FlipOutcome> {
  fs.rmSync(copy, { recursive: true, force: true })
  fs.cpSync(pristine, copy, { recursive: true })
  const path = random.pick(filesBelow(copy).filter((each) => fs.statSync(each).size > 0))
  const bytes = fs.readFileSync(path)
  const at = random.below(bytes.length)
  bytes[at] ^= 1 << random.below(8)
  fs.writeFileSync(path, bytes)
  const kind = kindOf(relative(copy, path))
  const where = `${relative(copy, path)} byte ${at} of ${bytes.length}`
  let isRefused = kind === 'index' && endsItsProcess(copy)
  let engine = await openLocalEngine(copy, { packBytesMax })
  try {
    const check = (): Promise<CheckReport> => engine.check({ readData: true, repair: true })
    const report = await check().catch(async (error: unknown) => {
      // LevelDB may meet a bit of its own only while it merges files, and writes nothing from then on: the user is told
      // to open the store again, which makes the index anew. Once must do, and what must come back is the same: the
      // index is a cache, and no other file was spoilt. So nothing that is lost passes.
      if (kind !== 'index' || !isCode(error, 'DAMAGED', 'FAILED_STATE')) throw error
      isRefused = true
      await engine.close()
      engine = await openLocalEngine(copy, { packBytesMax })
      return check()
    })
    const isMended = fs.existsSync(join(copy, 'quarantine'))
    const isFound = isRefused || isMended || report.damaged.length + report.healed.length > 0
    const isTold = isFound || report.notes.some((note) => note.includes('no record'))
    const isHealed = report.damaged.length === 0 && isSame(await contentsOf(engine, copy), wanted)
    return { kind, where, isFound: isTold, isHealed, isHarmless: isHealed && !isTold, report }
  } finally {
    await engine.close()
  }
}

/** Whether LevelDB ends the process that uses this index, which a supervisor then distrusts: the next makes it anew. */
function endsItsProcess(store: string): boolean {
  const script = new URL('using-process.ts', import.meta.url).pathname
  const { signal } = spawnSync(process.execPath, ['--no-warnings', script, store], { stdio: 'ignore' })
  if (signal === null) return false
  distrustIndex(systemEnv(), new StoreLayout(store))
  return true
}

export function isSame(found: Contents, wanted: Contents): boolean {
  return found.size === wanted.size && [...wanted].every(([name, content]) => found.get(name) === content)
}

function kindOf(path: string): string {
  const name = basename(path)
  if (path.startsWith('index')) return 'index'
  if (name.endsWith('.pack')) return 'pack'
  if (path.includes('/log/')) return 'log'
  if (path.includes('/epochs/')) return 'epoch record'
  return name
}

/** Locks are empty. Keys are behind a secret and have a copy on every replica: a store does not open with bad ones. */
function isLeftOut(name: string): boolean {
  return ['LOCK', 'lock', 'keys.json'].includes(name)
}

function filesBelow(directory: string): string[] {
  return fs.readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name)).filter((path) => !isLeftOut(basename(path)))
    .sort()
}
