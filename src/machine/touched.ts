/**
 * Which chunks of its memory file a hypervisor has touched, from its page table. What was pushed and not touched
 * is not in it, nor what the kernel read ahead (it maps no more than 64 KiB about a touched page, which is a chunk).
 * Source: proc_pid_maps(5), proc_pid_pagemap(5).
 */
import { Buffer } from 'node:buffer'
import { setImmediate } from 'node:timers/promises'
import type { Env } from '../env/env.ts'
import { KIB, MIB, chunkBytes } from '../limits.ts'

const pageBytes = 4 * KIB
const entryBytes = 8
/** Entries of one read: a fraction of a millisecond. */
const windowBytes = 256 * KIB
const mapsBytesMax = 4 * MIB
/** The highest byte of an entry has the bit that says that the page is there. */
const presentBit = 0x80

interface Mapping {
  start: number
  end: number
  offset: number
}

/** Chunk numbers in order, at most `chunksMax`. Errors: NOT_FOUND (the process has ended), IO (it is not ours). */
export async function touchedChunks(env: Env, pid: number, path: string, chunksMax: number): Promise<number[]> {
  const chunks = new Set<number>()
  using pages = env.open(`/proc/${pid}/pagemap`, 'read')
  const window = Buffer.alloc(windowBytes)
  for (const { start, end, offset } of mappings(env, pid, path)) {
    const endPage = end / pageBytes
    for (let page = start / pageBytes; page < endPage && chunks.size < chunksMax; page += windowBytes / entryBytes) {
      const bytes = Math.min(windowBytes, (endPage - page) * entryBytes)
      const count = pages.read(window.subarray(0, bytes), page * entryBytes) / entryBytes
      for (let index = 0; index < count; index += 1) {
        if ((window[index * entryBytes + entryBytes - 1] & presentBit) === 0) continue
        chunks.add(Math.floor((offset + (page + index) * pageBytes - start) / chunkBytes))
      }
      await setImmediate()
    }
  }
  return [...chunks].sort((a, b) => a - b).slice(0, chunksMax)
}

function mappings(env: Env, pid: number, path: string): Mapping[] {
  using file = env.open(`/proc/${pid}/maps`, 'read')
  const buffer = Buffer.alloc(mapsBytesMax)
  const text = buffer.toString('utf8', 0, file.read(buffer, 0))
  return text.split('\n').filter((line) => line.endsWith(` ${path}`)).map((line) => {
    const [range, , offset] = line.split(' ')
    const [start, end] = range.split('-').map((each) => parseInt(each, 16))
    return { start, end, offset: parseInt(offset, 16) }
  })
}
