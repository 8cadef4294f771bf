/**
 * The daemon's log: its standard output and error, appended to one file. When the file is full it is copied
 * aside and cut, because other threads and Node itself hold the same open file.
 */
import {
  copyFileSync, fstatSync, ftruncateSync, openSync, readFileSync, renameSync, statSync, writeSync,
} from 'node:fs'
import { systemEnv } from '../env/system.ts'
import { messageOf } from '../errors.ts'
import { logFileBytesMax, logTailBytes } from './limits.ts'

export type LogLine = (line: string) => void

const standardOutput = 1

/** Opens the log for a daemon about to start; a full one is moved aside. Returns a descriptor to hand down. */
export function openDaemonLog(path: string): number {
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > logFileBytesMax) renameSync(path, `${path}.old`)
  return openSync(path, 'a', 0o600)
}

/** The end of the log, for an error message. */
export function daemonLogTail(path: string): string {
  return readFileSync(path).subarray(-logTailBytes).toString('utf8').trim()
}

export class DaemonLog {
  /** Null when standard output is not the log file (a daemon run by hand or by an init system). */
  readonly #path: string | null
  readonly #bytesMax: number
  #lostLines = 0

  constructor(path: string | null, bytesMax: number = logFileBytesMax) {
    this.#path = path
    this.#bytesMax = bytesMax
  }

  readonly write: LogLine = (line) => {
    const when = new Date(systemEnv().wallMs()).toISOString()
    const lost = this.#lostLines > 0 ? ` (${this.#lostLines} lines before this one were lost)` : ''
    try {
      writeSync(standardOutput, `${when} ${process.pid}${lost} ${line}\n`)
      this.#lostLines = 0
      this.#rotate()
    } catch (error) {
      // A full disk must not end the daemon that serves mounts; the count is written once lines get through.
      this.#lostLines += 1
      process.emitWarning(`the log cannot be written: ${messageOf(error)}`)
    }
  }

  #rotate(): void {
    if (this.#path === null || fstatSync(standardOutput).size <= this.#bytesMax) return
    copyFileSync(this.#path, `${this.#path}.old`)
    ftruncateSync(standardOutput, 0)
  }
}
