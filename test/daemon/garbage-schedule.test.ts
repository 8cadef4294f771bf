/** Collections by a schedule, over an engine that only counts them. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { GarbageSchedule } from '../../src/daemon/garbage-schedule.ts'
import { type GarbageRules, garbageParameters } from '../../src/daemon/verbs/retention.ts'
import { checkArguments } from '../../src/daemon/parameters.ts'
import { systemEnv } from '../../src/env/system.ts'
import { HoldfastError } from '../../src/errors.ts'
import type { CollectedGarbage, GarbageRequest } from '../../src/image/collection/types.ts'
import type { CallOptions } from '../../src/image/types.ts'
import type { Engine } from '../../src/image/engine.ts'
import { scratchDirectory } from './scratch.ts'

const report: CollectedGarbage = {
  dryRun: false, keptEpochs: 1, removedEpochs: [{ epoch: 'a@0', wallMs: 0, note: '', storedBytes: null }], reasons: {}, liveRecords: 1,
  droppedPacks: 1, rewrittenPacks: 0, freedBytes: 10, movedBytes: 0, unusedBytes: 0, isComplete: true, goingPacks: [], left: [], completeEpochs: [], ownPacks: [],
}
const everyMs = 10
const rules = checkArguments(garbageParameters, { keepLast: 3, thin: 'default', image: ['vm'] }) as GarbageRules

class CountingEngine {
  readonly requests: GarbageRequest[] = []
  readonly directory: string
  answer: (options: CallOptions) => Promise<CollectedGarbage> = async () => report

  constructor(directory: string) {
    this.directory = directory
  }

  collectGarbage(request: GarbageRequest, options: CallOptions): Promise<CollectedGarbage> {
    this.requests.push(request)
    return this.answer(options)
  }

  async reaches(count: number): Promise<void> {
    while (this.requests.length < count) await sleep(1)
  }
}

const replicas = { collect: async () => [] }

function scheduleOf(engine: CountingEngine, isBackground = true): { schedule: GarbageSchedule; told: string[] } {
  const told: string[] = []
  const schedule = new GarbageSchedule({
    env: systemEnv(), engine: engine as unknown as Engine, replicas, isBackground, onEvent: (message) => told.push(message),
  })
  schedule.begin()
  return { schedule, told }
}

test('a schedule collects by its rules, outlives the process and ends', async (t) => {
  const engine = new CountingEngine(scratchDirectory(t))
  const first = scheduleOf(engine).schedule
  t.is(first.state().everyMs, null)
  await first.schedule({ everyMs, rules })
  await engine.reaches(2)
  t.like(engine.requests[1], { keepLast: 3, images: ['vm'], thin: { length: 5 } })
  await first.close()
  t.like(first.state(), { everyMs, removedEpochs: 1, freedBytes: 10, lastError: null })
  const before = engine.requests.length
  await sleep(5 * everyMs)
  t.is(engine.requests.length, before)
  const second = scheduleOf(engine).schedule
  t.like(second.state(), { everyMs, rules: { keepLast: 3 }, removedEpochs: null })
  await engine.reaches(before + 1)
  t.deepEqual(engine.requests[before], engine.requests[0])
  t.like(await second.schedule(null), { everyMs: null, rules: null })
  t.false(existsSync(join(engine.directory, 'gc.json')))
  const after = engine.requests.length
  await sleep(5 * everyMs)
  t.is(engine.requests.length, after)
  t.is(scheduleOf(engine).schedule.state().everyMs, null)
})

test('one that ends the process is noted before, and not tried again at once', async (t) => {
  const engine = new CountingEngine(scratchDirectory(t))
  const { schedule } = scheduleOf(engine)
  const kept = (): { lastMs: number } => JSON.parse(readFileSync(join(engine.directory, 'gc.json'), 'utf8'))
  await schedule.schedule({ everyMs, rules })
  const { lastMs } = kept()
  await sleep(2)
  const noted = new Promise<number>((resolve) => {
    engine.answer = async () => {
      resolve(kept().lastMs)
      return report
    }
  })
  t.true(await noted > lastMs)
  await schedule.close()
})

test('a cause that lasts is told once; closing ends a collection under way', async (t) => {
  const engine = new CountingEngine(scratchDirectory(t))
  engine.answer = async () => { throw new HoldfastError('BUSY', 'a check is running') }
  const { schedule, told } = scheduleOf(engine)
  await schedule.schedule({ everyMs, rules })
  await engine.reaches(4)
  t.is(told.length, 1)
  t.is(schedule.state().lastError, 'a check is running')
  engine.answer = ({ signal }) => new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(new HoldfastError('ABORTED', 'stopped')))
  })
  await engine.reaches(engine.requests.length + 1)
  await schedule.close()
  await schedule.close()
  t.is(told.length, 1)
})

test('without a daemon it is only kept; a file that cannot be read is told and may be set anew', async (t) => {
  const engine = new CountingEngine(scratchDirectory(t))
  const { schedule } = scheduleOf(engine, false)
  await schedule.schedule({ everyMs, rules })
  await sleep(5 * everyMs)
  t.is(engine.requests.length, 0)
  for (const [text, expected] of [
    ['{', /JSON/], ['{"holdfast":"gc schedule","version":2}', /newer/],
    ['{"holdfast":"gc schedule","version":1,"everyMs":10,"lastMs":0,"rules":{"keepLast":-1}}', /keepLast|range/],
  ] as const) {
    writeFileSync(join(engine.directory, 'gc.json'), text)
    const damaged = scheduleOf(engine)
    t.is(damaged.told.length, 1)
    t.regex(damaged.told[0], expected)
    t.like(await damaged.schedule.schedule({ everyMs: 100_000, rules }), { lastError: null, everyMs: 100_000 })
    await damaged.schedule.close()
  }
})
