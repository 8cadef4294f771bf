/** An engine that tells when one of its calls may have made an epoch, let go of a head or changed the keys. */
import type { Engine } from '../image/engine.ts'

const tellingMethods: ReadonlySet<PropertyKey> = new Set<keyof Engine>([
  'createImage', 'fork', 'rollback', 'commit', 'sealHead', 'openHead', 'closeHead', 'keys',
])

export function watchedEngine(engine: Engine, onEpoch: () => void): Engine {
  return new Proxy(engine, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target)
      if (typeof value !== 'function') return value
      if (!tellingMethods.has(key)) return value.bind(target)
      return async (...args: unknown[]) => {
        const result: unknown = await value.apply(target, args)
        onEpoch()
        return result
      }
    },
  })
}
