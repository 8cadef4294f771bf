/**
 * The daemon's process: says on a descriptor whether it is ready or why not, ends on SIGTERM and SIGINT as
 * `daemon stop --force` does, and on a second one at once.
 *
 * One line is written to the descriptor: {"ready":{"pid":1}} or {"error":{"code":...}}.
 */
import { closeSync, writeSync } from 'node:fs'
import { messageOf } from '../errors.ts'
import { Daemon } from './daemon.ts'
import { DaemonLog, type LogLine } from './daemon-log.ts'
import { faultOf } from './faults.ts'
import type { OpenHost } from './open-host.ts'
import { controlPaths } from './socket-path.ts'
import { version } from './version.ts'

export interface DaemonProcessOptions {
  store: string
  /** Where to say that it is ready; null for a daemon that is run by hand. Then its output is no log file. */
  readyFd: number | null
  openHost: OpenHost
}

/** Runs until the daemon has stopped, then ends the process. */
export async function runDaemonProcess({ store, readyFd, openHost }: DaemonProcessOptions): Promise<never> {
  process.umask(0o077)
  const log = new DaemonLog(readyFd === null ? null : controlPaths(store).log, process.stdout.fd).write
  process.on('uncaughtException', (error) => {
    log(`ends after a defect: ${error.stack ?? error.message}`)
    process.exit(1)
  })
  const daemon = await started(store, openHost, log, readyFd)
  log(`holdfast ${version} serves ${store}`)
  tell(readyFd, { ready: { pid: process.pid } })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopOn(signal, daemon, log))
  await daemon.ended
  log('stopped')
  process.exit(0)
}

async function started(store: string, openHost: OpenHost, log: LogLine, readyFd: number | null): Promise<Daemon> {
  try {
    return await Daemon.start(store, openHost, log)
  } catch (error) {
    log(`cannot start: ${messageOf(error)}`)
    tell(readyFd, { error: faultOf(error) })
    process.exit(1)
  }
}

function stopOn(signal: string, daemon: Daemon, log: LogLine): void {
  log(`stops on ${signal}`)
  daemon.stop({ force: true }).catch((error: unknown) => log(`stopping failed: ${messageOf(error)}`))
}

function tell(fd: number | null, message: object): void {
  if (fd === null) return
  writeSync(fd, `${JSON.stringify(message)}\n`)
  closeSync(fd)
}
