/** A replica whose user dies at a call: before it, or after it was carried out; nothing is asked of it from then on. */
import { HoldfastError } from '../../src/errors.ts'
import type { Replica } from '../../src/replica/replica.ts'

export class DyingReplica {
  readonly replica: Replica
  calls = 0
  /** The call at which it dies; Infinity: never. */
  diesAt = Infinity
  isAfter = false
  isDead = false

  constructor(replica: Replica) {
    this.replica = new Proxy(replica, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target)
        if (typeof value !== 'function') return value
        if (key === 'close' || key === Symbol.asyncDispose) return value.bind(target)
        return key === 'list' || key === 'read'
          ? (...args: unknown[]) => this.#many(() => value.apply(target, args) as AsyncIterable<unknown>)
          : (...args: unknown[]) => this.#one(() => value.apply(target, args) as Promise<unknown>)
      },
    })
  }

  async #one(call: () => Promise<unknown>): Promise<unknown> {
    if (this.#begins() && !this.isAfter) throw dead()
    const result = await call()
    if (this.isDead) throw dead()
    return result
  }

  async *#many(call: () => AsyncIterable<unknown>): AsyncGenerator<unknown> {
    if (this.#begins()) throw dead()
    yield* call()
  }

  /** Whether this is the one. Errors: it is over already. */
  #begins(): boolean {
    if (this.isDead) throw dead()
    this.calls += 1
    if (this.calls < this.diesAt) return false
    this.isDead = true
    return true
  }
}

/** From its next start on a node has replicas that can die: `current` is the one it has now. */
export function dyingReplicas(node: { between: (replica: Replica) => Replica }): { current: DyingReplica | null } {
  const dying: { current: DyingReplica | null } = { current: null }
  node.between = (replica) => (dying.current = new DyingReplica(replica)).replica
  return dying
}

function dead(): HoldfastError {
  return new HoldfastError('REPLICA_UNREACHABLE', 'this process has died')
}
