/** The end of what a hypervisor said on standard error, on one line; empty where it said nothing. */
import { Buffer } from 'node:buffer'
import { join } from 'node:path'
import type { Env } from '../env/env.ts'
import { isCode } from '../errors.ts'
import { logQuotedBytes } from './limits.ts'

export function lastWords(env: Env, runDirectory: string): string {
  try {
    using file = env.open(join(runDirectory, 'qemu.log'), 'read')
    const sizeBytes = file.size()
    const start = Math.max(0, sizeBytes - logQuotedBytes)
    const bytes = Buffer.alloc(sizeBytes - start)
    const text = bytes.toString('utf8', 0, file.read(bytes, start))
    return text.trim().split('\n').slice(-3).join('; ')
  } catch (error) {
    if (isCode(error, 'NOT_FOUND')) return ''
    throw error
  }
}
