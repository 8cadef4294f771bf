import { isCode } from '../errors.ts'
import type { CallOptions, Replica } from './replica.ts'

/** What a directory holds; nothing where it was never made. */
export async function listNames(replica: Replica, directory: string, options?: CallOptions): Promise<string[]> {
  const names: string[] = []
  try {
    for await (const { name } of replica.list(directory, options)) names.push(name)
  } catch (error) {
    if (!isCode(error, 'NOT_FOUND')) throw error
  }
  return names
}
