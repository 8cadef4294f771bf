import { HoldfastError } from '../../errors.ts'
import type { PublishedImage } from '../registry.ts'
import type { Replica } from '../replica.ts'

/** What the other replicas follow. */
export interface Authority {
  readonly replica: () => Replica | undefined
  readonly published: (key: string) => PublishedImage | undefined
}

/** Null for the authority itself. Errors: NOT_FOUND: there is none. */
export function authorityReplica(authority: Authority | null, { url }: Replica): Replica | null {
  if (authority === null) return null
  const replica = authority.replica()
  if (replica !== undefined) return replica
  throw new HoldfastError('NOT_FOUND', `nothing decides who may write what is on ${url}: add a replica`)
}
