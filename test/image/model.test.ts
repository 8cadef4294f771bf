/**
 * The head and the engine against a model, through commits of every kind, late retirement, crashes, forks and
 * rollbacks. A seed repeats a run: HOLDFAST_SEED.
 */
import test from 'ava'
import { Random } from '../random.ts'
import { makeRig } from './rig.ts'
import { Session } from './session.ts'

const turns: [weight: number, turn: (session: Session, random: Random) => Promise<void> | void][] = [
  [20, (session) => session.rotate()],
  [20, (session) => session.sync()],
  [12, (session) => session.commit('head')],
  [12, (session) => session.commit('epoch')],
  [18, (session) => session.retire()],
  [20, (session) => session.follow()],
  [4, (session) => session.reopen(false)],
  [2, (session) => session.reopen(true)],
  [5, (session) => session.crash()],
  [8, (session, random) => session.takeOver(random.below(2) === 0)],
  [2, (session) => session.rollback(false)],
  [2, (session) => session.rollback(true)],
  [1, (session, random) => session.fork(`fork-${random.below(2 ** 32)}`)],
  [2, (session) => session.removeEpoch()],
  [3, async (session) => void await session.collect()],
]

for (const round of [1, 2, 3]) {
  test(`a head and its engine do what the model does, round ${round}`, async (t) => {
    const random = Random.announced(t)
    const rig = await makeRig()
    t.teardown(() => rig.remove())
    const session = await Session.start(random, rig.parent, rig.directory, rig.engine, 'model')
    t.teardown(() => session.close())
    for (let turn = 0; turn < 120; turn += 1) {
      for (let steps = random.below(25); steps > 0; steps -= 1) session.step()
      const name = await takeTurn(session, random)
      if (turn % 4 === 0 || name === 'crash') t.deepEqual(session.compare(), [], `after turn ${turn}, ${name}`)
    }
    t.deepEqual(session.compare(), [])
    for (const epoch of session.epochs.keys()) t.deepEqual(await session.compareEpoch(epoch), [], epoch)
    t.deepEqual((await session.engine.check({ readData: true })).damaged, [])
  })
}

async function takeTurn(session: Session, random: Random): Promise<string> {
  let at = random.below(turns.reduce((sum, [weight]) => sum + weight, 0))
  const [, turn] = turns.find(([weight]) => (at -= weight) < 0)!
  await turn(session, random)
  return /session\.(\w+)/.exec(String(turn))?.[1] ?? ''
}
