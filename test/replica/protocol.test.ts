import test from 'ava'
import { begin, step } from '../../src/replica/protocol/owner.ts'
import { type Flaw, explore } from './model.ts'

const budgets = {
  'two nodes, lost and late': [2, { takeOvers: 3, seals: 2, losses: 2, crashes: 0 }],
  'two nodes, crashes': [2, { takeOvers: 4, seals: 2, losses: 1, crashes: 1 }],
  'three nodes': [3, { takeOvers: 4, seals: 2, losses: 0, crashes: 0 }],
} as const

for (const [name, [nodeCount, budget]] of Object.entries(budgets)) {
  test.serial(`model: ${name}: one history, and nothing released is lost`, (t) => {
    t.timeout(480_000)
    const found = explore(nodeCount, budget, 'none')
    t.log(`${found.stateCount} states, ${found.endCount} ends`)
    t.is(found.fault, null)
    t.true(found.stateCount > 1000 && found.endCount > 0)
  })
}

const flaws: Record<Exclude<Flaw, 'none'>, RegExp> = {
  'closing frees the name': /two owners/,
  'publishing makes the directory': /after it was closed/,
  'releasing on unclear': /was released and is not in|which had been released/,
  'listing before closing': /which had been released/,
  'opening is no choice': /two owners/,
}

for (const [flaw, expected] of Object.entries(flaws) as [Flaw, RegExp][]) {
  test.serial(`model: ${flaw}: the search finds what goes wrong`, (t) => {
    t.timeout(480_000)
    const { fault, stateCount } = explore(2, { takeOvers: 4, seals: 2, losses: 1, crashes: 0 }, flaw)
    t.regex(fault?.what ?? `nothing in ${stateCount} states`, expected)
    t.log(`${fault?.what}: ${fault?.path.join(' | ')}`)
  })
}

test('events that do not fit change nothing', (t) => {
  const idle = begin('n')
  t.deepEqual(step(idle, { type: 'seal', epoch: 'e' }), { state: idle, action: null, release: null })
  t.deepEqual(step(idle, { type: 'reply', reply: { type: 'done' } }).state, idle)
  const opening = step(idle, { type: 'takeOver', from: 0 })
  t.deepEqual(step(opening.state, { type: 'takeOver', from: 3 }).state, opening.state)
  t.deepEqual(step(opening.state, { type: 'rejoin', generation: 3 }).state, opening.state)
})
