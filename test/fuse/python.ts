/** Runs a Python script for system calls that Node does not have; its last expression is printed. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)
const TIME_LIMIT_MS = 30_000

/** The script sees `sys.argv[1:]` and prints one JSON document. */
export async function python(script: string, ...parameters: string[]): Promise<unknown> {
  const prelude = 'import ctypes, errno, json, mmap, os, sys\nlibc = ctypes.CDLL(None, use_errno=True)\n'
  const { stdout } = await run('python3', ['-c', prelude + script, ...parameters], { timeout: TIME_LIMIT_MS })
  return JSON.parse(stdout) as unknown
}
