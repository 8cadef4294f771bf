/**
 * Where a sparse file has data. Node has no SEEK_DATA; `qemu-img`, which whoever runs machines has, knows it.
 * How many blocks a file has says nothing of where they are, and some file systems keep data in none.
 */
import type { EnvFile } from './env.ts'
import { isCode } from '../errors.ts'
import { runProgram } from './program.ts'

export interface DataRange {
  readonly from: number
  /** Behind its last byte. */
  readonly to: number
}

/** Below this reading is as quick as asking. */
const askBytesMin = 16 * 1024 * 1024

/**
 * Rising; all else of the first `bytes` of a file are holes. One range with everything where that cannot be told.
 * Errors: ABORTED.
 */
export async function dataRanges(file: EnvFile, bytes: number, signal?: AbortSignal): Promise<DataRange[]> {
  const all = [{ from: 0, to: bytes }]
  if (bytes < askBytesMin) return all
  try {
    const path = `/proc/${process.pid}/fd/${file.fd}`
    return parse(await runProgram('qemu-img', ['map', '-U', '--output=json', '-f', 'raw', path], signal), bytes)
  } catch (error) {
    if (isCode(error, 'ABORTED')) throw error
    return all
  }
}

/** Throws where the text is not what is expected, or leaves something out. */
export function parse(text: string, bytes: number): DataRange[] {
  const found: DataRange[] = []
  let end = 0
  for (const { start, length, data } of JSON.parse(text) as { start: unknown; length: unknown; data: unknown }[]) {
    if (start !== end || !Number.isSafeInteger(length) || typeof data !== 'boolean') throw new Error('no map of a file')
    end += Number(length)
    const range = { from: start, to: Math.min(end, bytes) }
    if (data && range.from < range.to) found.push(range)
  }
  if (end < bytes) throw new Error('the map of a file ends before it')
  return found
}
