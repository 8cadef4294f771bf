/** Runs a program of the system to its end. No shell is involved: arguments are taken as they are. */
import { execFile } from 'node:child_process'
import { HoldfastError, isCode } from '../errors.ts'

/** What it printed. Errors: UNSUPPORTED (not installed), ABORTED, IO (with what it said). */
export function runProgram(program: string, args: readonly string[], signal?: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { signal, maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      if (isCode(error, 'ENOENT')) {
        return reject(new HoldfastError('UNSUPPORTED', `${program} is not installed: install it and try again`))
      }
      if (signal?.aborted) return reject(new HoldfastError('ABORTED', `${program} was stopped on request`))
      reject(new HoldfastError('IO', `${program} failed: ${stderr.trim() || error.message}`, { cause: error }))
    })
  })
}
