/** The ways in which the power goes: each says of the operations that were not synced what becomes of them. */
import type { Random } from '../random.ts'
import type { Fate, PowerLoss } from './volume.ts'

type Maker = (random: Random, pending: readonly number[]) => Omit<PowerLoss, 'name'>

const makers: Record<string, Maker> = {
  'nothing unsynced is left': () => ({ data: () => 'lost', names: () => false }),
  'all is left, as after a killed process': () => ({ data: () => 'kept', names: () => true }),
  'names are left without their data': () => ({ data: () => 'lost', names: () => true }),
  'data are left without their names': () => ({ data: () => 'kept', names: () => false }),
  'a prefix, its last write torn at a byte': (random, pending) => prefix(random, pending, 'bytes'),
  'a prefix, its last write torn in sectors': (random, pending) => prefix(random, pending, 'sectors'),
  'all but a torn last write': (_, pending) => ({ data: (at) => (at === pending.at(-1) ? 'bytes' : 'kept'), names: () => true }),
  'data in any order, names in theirs': (random, pending) => {
    const cut = random.pick([...pending, Infinity])
    return { data: anyFate(random), names: (at) => at < cut }
  },
  'anything in any order': (random) => ({ data: anyFate(random), names: () => random.below(2) === 0 }),
  'files that grew with blocks that never came': (random) => ({ data: () => random.pick(['zeros', 'kept']), names: () => true }),
}

export const powerLossNames = Object.keys(makers)

export function powerLoss(name: string, random: Random, pending: readonly number[]): PowerLoss {
  return { name, ...makers[name](random, pending) }
}

function prefix(random: Random, pending: readonly number[], torn: Fate): Omit<PowerLoss, 'name'> {
  const cut = pending.length === 0 ? 0 : random.pick(pending)
  return { data: (at) => (at < cut ? 'kept' : at === cut ? torn : 'lost'), names: (at) => at <= cut }
}

function anyFate(random: Random): (at: number) => Fate {
  return () => random.pick<Fate>(['kept', 'kept', 'lost', 'zeros', 'bytes', 'sectors'])
}
