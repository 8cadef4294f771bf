import { isCode } from '../errors.ts'
import type { CallOptions, Replica, ReplicaEntry } from './replica.ts'

/** What a directory holds; nothing where it was never made. */
export async function listEntries(
  replica: Replica, directory: string, options?: CallOptions,
): Promise<ReplicaEntry[]> {
  const entries: ReplicaEntry[] = []
  try {
    for await (const entry of replica.list(directory, options)) entries.push(entry)
  } catch (error) {
    if (!isCode(error, 'NOT_FOUND')) throw error
  }
  return entries
}

/** The same, by name. */
export async function listNames(replica: Replica, directory: string, options?: CallOptions): Promise<string[]> {
  return (await listEntries(replica, directory, options)).map(({ name }) => name)
}
