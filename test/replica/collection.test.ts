import test from 'ava'
import { beginCollector, stepCollector } from '../../src/replica/protocol/collector.ts'
import { beginWriter, stepWriter } from '../../src/replica/protocol/writer.ts'
import { Random } from '../random.ts'
import { type Budget, type Flaw, explore, firstWorld, movesOf, wrongIn } from './collection-model.ts'

const once: Budget = {
  batches: 1, collections: 1, batchRecords: 1, losses: 0, crashes: 0, suspicions: 0, fences: 0, packs: 'shared',
}

const short: Record<string, [number, number, Partial<Budget>]> = {
  'two writers, a collector': [2, 1, { batches: 2 }],
  'a writer twice, a collector twice': [1, 1, { batches: 2, collections: 2 }],
  'every pack may go': [1, 1, { batches: 2, packs: 'all' }],
  'two collectors': [1, 2, { collections: 2 }],
  'lost and late': [1, 1, { batches: 2, losses: 1 }],
  'lost, late and dead': [1, 1, { losses: 1, crashes: 1, suspicions: 1 }],
  'two records a batch, a fence': [1, 1, { batchRecords: 2, suspicions: 1, fences: 1 }],
}

/** A minute and 2 GB each: with HOLDFAST_MODEL=long. */
const long: Record<string, [number, number, Partial<Budget>]> = {
  'two writers, a collector twice, dead': [2, 1, { batches: 2, collections: 2, crashes: 1 }],
  'two collectors, suspicious': [1, 2, { batches: 2, collections: 2, suspicions: 1 }],
  'two collectors, lost and late': [1, 2, { collections: 2, losses: 1 }],
  'lost and late twice': [1, 1, { batches: 2, collections: 2, losses: 2 }],
  'lost, late, dead, suspicious': [1, 1, { batches: 2, collections: 2, losses: 1, crashes: 1, suspicions: 1 }],
}

const budgets = process.env['HOLDFAST_MODEL'] === 'long' ? { ...short, ...long } : short
const statesMax = 3_000_000

for (const [name, [writers, collectors, budget]] of Object.entries(budgets)) {
  test.serial(`model: ${name}: what is published keeps its packs`, (t) => {
    t.timeout(600_000)
    const { stateCount, endCount, goodEndCount, fault } = explore(firstWorld(writers, collectors, { ...once, ...budget }), 'none', statesMax)
    t.log(`${stateCount} states, ${endCount} ends, in ${goodEndCount} of them all was published and garbage removed`)
    t.is(fault, null)
    t.true(stateCount > 1000 && goodEndCount > 0)
  })
}

const flaws: Record<Exclude<Flaw, 'none'>, [number, Partial<Budget>]> = {
  'the writer looks before it intends': [1, {}],
  'the collector lists records before intents': [1, {}],
  'markers are made after the listing': [1, {}],
  'condemned packs are used': [1, {}],
  'deleting is listed before condemned': [1, { batches: 2 }],
  'sweeps are listed first': [1, { batches: 2 }],
  'sweeps are not looked at': [1, { batches: 2 }],
  'what was found is known after an intent was gone': [1, { suspicions: 1 }],
  'packs are removed without a sentence': [2, { collections: 2 }],
}

for (const [flaw, [collectors, budget]] of Object.entries(flaws) as [Flaw, [number, Partial<Budget>]][]) {
  test.serial(`model: ${flaw}: the search finds what goes wrong`, (t) => {
    t.timeout(480_000)
    const { fault, stateCount } = explore(firstWorld(1, collectors, { ...once, ...budget }), flaw)
    t.regex(fault?.what ?? `nothing in ${stateCount} states`, /is published and its pack .* is gone/)
    t.log(`${fault?.what}: ${fault?.path.join(' | ')}`)
  })
}

test('a writer that is fenced takes its intents away and stops', (t) => {
  let step = stepWriter(beginWriter('w'), { type: 'publish', records: [{ record: 'r1', packs: ['p'] }, { record: 'r2', packs: ['p'] }] })
  const asked: string[] = []
  const done = { type: 'done' } as const
  const none = { type: 'listed', names: [] } as const
  const replies = { intend: done, list: none, miss: none, drop: done, publish: { type: 'fenced' } } as const
  while (step.action !== null) {
    const { type } = step.action
    asked.push(type)
    step = stepWriter(step.state, { type: 'reply', reply: type === 'replace' ? { type: 'unclear' } : replies[type] })
  }
  t.deepEqual(asked, ['intend', 'intend', 'list', 'list', 'list', 'miss', 'publish', 'drop', 'drop'])
  t.is(step.state.phase, 'fenced')
  t.is(stepWriter(step.state, { type: 'publish', records: [{ record: 'r3', packs: [] }] }).action, null)
})

test('events that do not fit change nothing', (t) => {
  const writer = beginWriter('w')
  t.deepEqual(stepWriter(writer, { type: 'reply', reply: { type: 'done' } }), { state: writer, action: null, published: null })
  t.deepEqual(stepWriter(writer, { type: 'publish', records: [] }).state, writer)
  const collector = beginCollector('c')
  t.deepEqual(stepCollector(collector, { type: 'reply', reply: { type: 'done' } }), { state: collector, action: null })
  const begun = stepCollector(collector, { type: 'collect', plan: { records: ['r'], intents: [], packs: [] } })
  t.deepEqual(stepCollector(begun.state, { type: 'collect', plan: { records: [], intents: [], packs: [] } }).state, begun.state)
})

test('model: a long walk at random, of two writers and two collectors', (t) => {
  t.timeout(3_600_000)
  const random = Random.announced(t)
  const stepsWanted = Number(process.env['HOLDFAST_GC_STEPS'] ?? 20_000)
  const budget: Budget = {
    batches: 6, collections: 6, batchRecords: 2, losses: 4, crashes: 2, suspicions: 2, fences: 0, packs: 'all',
  }
  let walks = 0
  let removedCount = 0
  for (let steps = 0; steps < stepsWanted; walks++) {
    let world = firstWorld(2, 2, budget)
    for (let moves = movesOf(world, 'none'); moves.length > 0; moves = movesOf(world, 'none')) {
      world = random.pick(moves).after
      steps += 1
      const fault = wrongIn(world)
      if (fault !== null) return t.fail(fault)
    }
    removedCount += world.packs.includes('A') ? 0 : 1
  }
  t.log(`${walks} walks, ${removedCount} of them removed the first pack`)
  t.true(removedCount > 0)
})
