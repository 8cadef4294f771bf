/**
 * The daemon's process, its supervisor: says on a descriptor whether it is ready or why not, ends on SIGTERM
 * and SIGINT as `daemon stop --force` does, and on a second one at once. The root of an encrypted store's keys comes
 * on its standard input, which nobody else can read, as arguments and environment can be.
 *
 * One line is written to the descriptor: {"ready":{"pid":1}} or {"error":{"code":...}}.
 */
import { closeSync, writeSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { messageOf } from '../errors.ts'
import { DaemonLog } from './daemon-log.ts'
import { faultOf } from './faults.ts'
import { controlPaths } from './socket-path.ts'
import { Supervisor } from './supervisor/supervisor.ts'
import { version } from './version.ts'

export interface DaemonProcessOptions {
  store: string
  /** Where to say that it is ready; null for a daemon that is run by hand. Then its output is no log file. */
  readyFd: number | null
  /** Entry of the processes that serve. */
  entry: URL
}

/** Runs until the daemon has stopped, then ends the process. */
export async function runDaemonProcess({ store, readyFd, entry }: DaemonProcessOptions): Promise<never> {
  process.umask(0o077)
  const log = new DaemonLog(readyFd === null ? null : controlPaths(store).log, process.stdout.fd).write
  process.on('uncaughtException', (error) => {
    log(`ends after a defect: ${error.stack ?? error.message}`)
    process.exit(1)
  })
  const { HOLDFAST_NO_RESEND: noResend, HOLDFAST_NO_STANDBY: noStandby } = process.env
  const supervisor = new Supervisor({
    store, entry, log, root: readyFd === null ? null : await rootFromInput(),
    canResend: noResend === undefined, hasStandby: noStandby === undefined,
  })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      log(`stops on ${signal}`)
      supervisor.stop()
    })
  }
  try {
    await supervisor.start()
  } catch (error) {
    log(`cannot start: ${messageOf(error)}`)
    tell(readyFd, { error: faultOf(error) })
    process.exit(1)
  }
  log(`holdfast ${version} serves ${store}`)
  tell(readyFd, { ready: { pid: process.pid } })
  await supervisor.ended
  log('stopped')
  process.exit(0)
}

/** Null where nothing comes: the store is not encrypted. Who starts the daemon may take a while to write it. */
async function rootFromInput(): Promise<string | null> {
  const root = (await text(process.stdin)).trim()
  return root === '' ? null : root
}

function tell(fd: number | null, message: object): void {
  if (fd === null) return
  writeSync(fd, `${JSON.stringify(message)}\n`)
  closeSync(fd)
}
