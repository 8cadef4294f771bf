/**
 * Where a DataNode gives the bytes of an object, kept for the next ranges of it: a read of many ranges asks the
 * NameNode once. An object is one block, so that who has one range has them all. What is kept is a hint: after a
 * failure there the NameNode is asked.
 */
import { locationsMax } from '../limits.ts'
import type { Target } from './transport.ts'

export interface ByteRange {
  readonly offset: number
  /** Infinity: to the end. */
  readonly bytes: number
}

export class KnownPlaces {
  /** Null: the NameNode named none. */
  readonly #targets = new Map<string, Promise<Target | null>>()

  /** Undefined where nobody has asked; null where the answer to who did is no help. Rejects nobody. */
  find(path: string, range: ByteRange): Promise<Target | null> | undefined {
    return this.#targets.get(path)?.then((target) => {
      return target === null ? null : { ...target, path: withRange(target.path, range) }
    }, () => null)
  }

  /** Keeps what the NameNode says; those who come meanwhile wait for it. */
  note(path: string, asked: Promise<Target | null>): void {
    this.#targets.set(path, asked)
    if (this.#targets.size > locationsMax) this.forget(this.#targets.keys().next().value ?? '')
    const drop = (): void => {
      if (this.#targets.get(path) === asked) this.#targets.delete(path)
    }
    asked.then((target) => target === null && drop(), drop)
  }

  forget(path: string): void {
    this.#targets.delete(path)
  }
}

function withRange(path: string, { offset, bytes }: ByteRange): string {
  const [place, query] = path.split('?', 2)
  const parameters = new URLSearchParams(query)
  parameters.set('offset', String(offset))
  if (bytes === Infinity) parameters.delete('length')
  else parameters.set('length', String(bytes))
  return `${place}?${parameters}`
}
