/**
 * Answers to requests that a server before us carried out and perhaps did not answer. Only what changes
 * something needs this: the rest is safe to do again. The serving thread logs a request and then answers it,
 * one after the other, so such a request is among the last that the log holds; and as the kernel holds the
 * inode or the directory for its asker until it is answered, nothing has changed there since: what the state
 * says now is what the answer was. A file without a name is made again: nobody was told of the first, which goes with
 * the next mount.
 */
import { ERRNO, opcodeTable } from '../../fuse/index.ts'
import type * as fuse from '../../fuse/index.ts'

/** Numbers of the requests that the log holds, while those that are sent again come in. */
export class CarriedOut {
  #uniques: ReadonlySet<number>
  readonly #unanswered = new Set<number>()
  answered = 0

  constructor(uniques: ReadonlySet<number>) {
    this.#uniques = uniques
  }

  /** A request that was carried out here, and whose answer could not be made yet. */
  add(unique: number): void {
    this.#unanswered.add(unique)
  }

  has({ resent, unique }: fuse.RequestContext): boolean {
    if (this.#unanswered.delete(unique)) return true
    if (!resent || !this.#uniques.has(unique)) return false
    this.answered += 1
    return true
  }

  /** All that was sent again has come: the kernel puts it before everything else. */
  end(): void {
    this.#uniques = new Set()
  }
}

type Mutating =
  | 'symlink' | 'mknod' | 'mkdir' | 'create' | 'link' | 'unlink' | 'rmdir' | 'rename' | 'setattr' | 'setxattr'
  | 'removexattr' | 'write' | 'fallocate'
type Method<Name extends Mutating> = NonNullable<fuse.FileOperations[Name]>
type Answer<Name extends Mutating> = (
  operations: fuse.FileOperations, ...given: Parameters<Method<Name>>
) => ReturnType<Method<Name>>

const done = (): number => 0

/** For each operation that changes something, its answer from the state as it is. */
const answers: { readonly [Name in Mutating]: Answer<Name> } = {
  symlink: entered,
  mknod: entered,
  mkdir: entered,
  create: entered,
  link: entered,
  unlink: done,
  rmdir: done,
  rename: done,
  setattr: (operations, context, { node }) => operations.getattr(context, { node }),
  setxattr: done,
  removexattr: done,
  write: (_, __, { payloadBytes }) => payloadBytes,
  fallocate: done,
}

/** The operations, with what was carried out already only answered. */
export function answeringRepeated(operations: fuse.FileOperations, carriedOut: CarriedOut): fuse.FileOperations {
  const guarded: Record<string, unknown> = {}
  for (const { operation } of opcodeTable) {
    const carryOut = operation === null ? undefined : operations[operation]
    if (operation === null || carryOut === undefined) continue
    const answer = (answers as Record<string, Answer<Mutating> | undefined>)[operation]
    guarded[operation] = (context: fuse.RequestContext, request: never): unknown =>
      answer !== undefined && carriedOut.has(context)
        ? answer(operations, context, request)
        : (carryOut as (context: fuse.RequestContext, request: object) => unknown).call(operations, context, request)
  }
  return guarded as unknown as fuse.FileOperations
}

function entered(
  operations: fuse.FileOperations, context: fuse.RequestContext, { parent, name }: fuse.NameRequest,
): fuse.Outcome<fuse.Entry> {
  const found = operations.lookup(context, { parent, name })
  if (typeof found !== 'object') return found
  // Nobody can have taken the name away since; should it be, the asker looks again and finds out.
  return found.node === 0 ? -ERRNO.ESTALE : found as fuse.Entry
}
