/** Replicas by their URLs. */
import { fileURLToPath } from 'node:url'
import { HoldfastError } from '../errors.ts'
import type { Env } from '../env/env.ts'
import { DirectoryReplica } from './directory.ts'
import type { ReplicaLimits } from './limits.ts'
import type { Replica } from './replica.ts'
import type { TlsOptions } from './webhdfs/transport.ts'
import { WebHdfsReplica } from './webhdfs/webhdfs-replica.ts'

export interface ReplicaOptions {
  /** Over all transfers together. */
  readonly bytesPerSecondMax?: number
  readonly limits?: ReplicaLimits
  /** Of HDFS. A secret: never part of a URL. */
  readonly delegationToken?: string
  readonly tls?: TlsOptions
}

/**
 * `file:///DIRECTORY`, `webhdfs://HOST:PORT[,HOST:PORT]/PATH?user=NAME` or the same with `swebhdfs`. Nothing is
 * looked at yet. Errors: USAGE.
 */
export function openReplica(env: Env, url: string, options: ReplicaOptions = {}): Replica {
  const scheme = /^([a-z]+):\/\//.exec(url)?.[1]
  if (scheme === 'file') return new DirectoryReplica(env, directoryOf(url), options)
  if (scheme === 'webhdfs' || scheme === 'swebhdfs') return new WebHdfsReplica(env, url, options)
  throw new HoldfastError('USAGE', `${url} is no replica: it begins with file://, webhdfs:// or swebhdfs://`)
}

function directoryOf(url: string): string {
  try {
    return fileURLToPath(url)
  } catch (error) {
    throw new HoldfastError('USAGE', `${url} is not file:///DIRECTORY`, { cause: error })
  }
}
