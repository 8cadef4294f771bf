/** Starts a daemon in a session of its own and waits for its word that it is ready, or why it is not. */
import type { Buffer } from 'node:buffer'
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { HoldfastError, messageOf } from '../errors.ts'
import { ControlClient } from './client.ts'
import { compileCacheDirectory } from './compile-cache.ts'
import { requireStore } from './control-files.ts'
import { daemonLogTail, openDaemonLog } from './daemon-log.ts'
import { errorOf } from './faults.ts'
import { requestBytesMax, threadPoolThreads } from './limits.ts'
import { LineReader } from './lines.ts'
import { controlPaths } from './socket-path.ts'
import { StartLock } from './start-lock.ts'

export interface StartedDaemon {
  client: ControlClient
  /** False when one ran already. */
  started: boolean
}

/** The daemon's entry beside this file, compiled or not as this file is. */
const entryHref = new URL('./main.ts', import.meta.url).href
export const daemonEntry = new URL(entryHref.replace(/ts$/, extensionOf(import.meta.url)))

/**
 * The store's daemon, started unless one runs. Errors: NOT_FOUND (no store), what the daemon says of opening
 * the store (LOCKED, NEWER_VERSION, ...), DAEMON.
 */
export async function startDaemon(store: string, entry: URL = daemonEntry): Promise<StartedDaemon> {
  requireStore(store)
  using _lock = await StartLock.take(store)
  const running = await ControlClient.connect(store)
  if (running !== null) return { client: running, started: false }
  await launch(store, entry)
  const client = await ControlClient.connect(store)
  if (client === null) throw new HoldfastError('DAEMON', `the daemon of ${store} ended as soon as it was ready`)
  return { client, started: true }
}

async function launch(store: string, entry: URL): Promise<void> {
  const { log } = controlPaths(store)
  const logFd = openDaemonLog(log)
  try {
    const child = spawn(process.execPath, [fileURLToPath(entry), store, '3'], {
      detached: true, cwd: '/', stdio: ['ignore', logFd, logFd, 'pipe'], env: environmentOf(process.env),
    })
    const word = await readyWord(child)
    child.unref()
    if (word === null) throw new HoldfastError('DAEMON', `the daemon died at its start: ${daemonLogTail(log)}`)
    if ('error' in word) throw errorOf(word.error)
  } finally {
    closeSync(logFd)
  }
}

function environmentOf(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const cache = compileCacheDirectory(environment)
  return {
    ...environment,
    UV_THREADPOOL_SIZE: String(threadPoolThreads),
    ...(cache === undefined ? {} : { NODE_COMPILE_CACHE: cache }),
  }
}

/** The one line on the child's descriptor 3; null when it ended without one. */
function readyWord(child: ChildProcess): Promise<object | null> {
  const pipe = child.stdio[3] as Readable
  const lines = new LineReader(requestBytesMax)
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(cannotStart(error)))
    pipe.once('error', (error) => reject(cannotStart(error)))
    pipe.once('close', () => resolve(null))
    pipe.on('data', (bytes: Buffer) => {
      for (const line of lines.push(bytes)) resolve(JSON.parse(line) as object)
      pipe.destroy()
    })
  })
}

function cannotStart(cause: Error): HoldfastError {
  return new HoldfastError('DAEMON', `the daemon cannot be started: ${messageOf(cause)}`, { cause })
}

function extensionOf(url: string): string {
  return url.slice(url.lastIndexOf('.') + 1)
}
