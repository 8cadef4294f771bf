/**
 * Where the lines of traced sessions go: a file that several threads append to. It begins anew when it is full, so
 * that a trace left on fills no disk; what is written while the disk is full is lost.
 */
import { fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { limits } from './limits.ts'

/** What to give a session as `onTrace`, for as long as its thread lives. @throws the system's error on opening it */
export function traceFile(path: string, bytesMax: number = limits.traceFileBytesMax): (line: string) => void {
  const descriptor = openSync(path, 'a', 0o600)
  return (line) => {
    try {
      if (fstatSync(descriptor).size > bytesMax) ftruncateSync(descriptor, 0)
      writeSync(descriptor, `${line}\n`)
    } catch {
      // A trace may not change what it watches: the request goes on without its line.
    }
  }
}
