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
  /** Null when what is written to is not the log file (a daemon run by hand or by an init system). */
  readonly #path: string | null
  readonly #fd: number
  readonly #bytesMax: number
  #lostLines = 0
  #lastFault = ''

  /** `fd` is open for appending to the file at `path`. */
  constructor(path: string | null, fd: number, bytesMax: number = logFileBytesMax) {
    this.#path = path
    this.#fd = fd
    this.#bytesMax = bytesMax
  }

  readonly write: LogLine = (line) => {
    const when = new Date(systemEnv().wallMs()).toISOString()
    const lost = this.#lostLines > 0 ? ` (${this.#lostLines} lines before this one were lost: ${this.#lastFault})` : ''
    try {
      writeSync(this.#fd, `${when} ${process.pid}${lost} ${line}\n`)
      this.#lostLines = 0
      this.#rotate()
    } catch (error) {
      // A full disk must not end the daemon that serves mounts; the count is written once lines get through.
      this.#lostLines += 1
      this.#lastFault = messageOf(error)
    }
  }

  #rotate(): void {
    if (this.#path === null || fstatSync(this.#fd).size <= this.#bytesMax) return
    copyFileSync(this.#path, `${this.#path}.old`)
    ftruncateSync(this.#fd, 0)
  }
}
