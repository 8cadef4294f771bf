/** Looks for the records that a store cannot read, on one replica after the other. */
import { systemEnv } from '../env/system.ts'
import type { Engine } from '../image/engine.ts'
import { openedKeys } from '../image/remote/join.ts'
import { findRecordCopies } from '../image/remote/record-copies.ts'
import type { FoundCopies } from '../image/remote/record-copies.ts'
import type { CallOptions } from '../image/types.ts'
import { openReplica } from '../replica/open.ts'
import { unsealedReplica } from '../replica/sealed-replica.ts'
import { readIdentity } from '../store/identity.ts'
import { StoreLayout } from '../store/layout.ts'

/** A replica that fails is told of in the notes. Errors: ABORTED, USAGE (no URL), those of the engine. */
export async function searchRecordCopies(
  engine: Engine, urls: readonly string[], { signal, progress }: CallOptions,
): Promise<FoundCopies> {
  const env = systemEnv()
  const held = await engine.heldRecords({ signal })
  const found: FoundCopies = { copies: [], notes: [] }
  if (held.every(({ lost }) => lost.length === 0)) return found
  const store = readIdentity(env, new StoreLayout(engine.directory))
  const keys = await openedKeys(env, engine)
  for (const [index, url] of urls.entries()) {
    progress?.({ step: `asking ${url} for records`, done: index, total: urls.length, unit: 'steps' })
    await using replica = unsealedReplica(env, openReplica(env, url), keys)
    const { copies, notes } = await findRecordCopies(replica, store, held, signal)
    found.copies.push(...copies)
    found.notes.push(...notes)
  }
  return found
}
