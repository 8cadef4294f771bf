/** Two nodes that race for images: of each race exactly one wins, and each knows whether it did. */
import { Buffer } from 'node:buffer'
import { Ownership, newestGeneration } from '../../src/replica/feed/ownership.ts'
import type { Replica } from '../../src/replica/replica.ts'

export interface Races {
  readonly winners: readonly number[]
  /** Races that did not end as they must, with what was wrong. */
  readonly faults: readonly string[]
}

const names = ['a', 'b']

/** Each race has an image of its own: first for its first generation, then to take it over. */
export async function race(replicas: readonly [Replica, Replica], rounds: number): Promise<Races> {
  const winners = [0, 0]
  const faults: string[] = []
  for (let round = 0; round < rounds; round++) {
    const key = keyOf(round)
    for (const from of [0, 1]) {
      const nodes = replicas.map((replica, at) => contender(replica, key, round, at, from))
      const won = await Promise.all(nodes.map((node) => node.takeOver(from, {})))
      const newest = await newestGeneration(replicas[0], key, {})
      const owners = won.flatMap((isOwner, at) => isOwner ? [at] : [])
      const isRight = owners.length === 1 && newest?.number === from + 1 && newest.isOpen
        && newest.owner.image === names[owners[0]]
      if (!isRight) faults.push(`round ${round}: ${JSON.stringify({ won, newest: newest?.number, owner: newest?.owner.image })}`)
      else winners[owners[0]] += 1
    }
  }
  return { winners, faults }
}

export function keyOf(round: number): string {
  return Buffer.from(`race ${round}`.padEnd(16)).toString('hex')
}

export function contender(replica: Replica, key: string, round: number, at: number, from: number): Ownership {
  const self = Buffer.from(`${round} ${at} ${from}`.padEnd(16)).toString('hex')
  return new Ownership(replica, key, {
    self, storeId: Buffer.alloc(16, at), imageId: Buffer.from(key, 'hex'), image: names[at], origin: { kind: 'empty' }, createdMs: 0, openedMs: 0,
  })
}
