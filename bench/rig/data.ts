/** Synthetic contents: many distinct chunks that cost little disk, and changes to them. */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { closeSync, constants, fdatasyncSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { chunkBytes } from '../../src/limits.ts'

export const pageBytes = 4096

/** Chunks of a file that have contents: each `stride`-th of those from `first` up to `end`. */
export interface Marked {
  readonly fileBytes: number
  readonly stride: number
  readonly first?: number
  readonly end?: number
}

/**
 * A sparse file, made if it is not there, in which each marked chunk begins with 32 bytes of its own and is
 * zero otherwise: as many distinct chunks as wanted, each stored in some hundred bytes. How many were marked.
 */
export function markChunks(path: string, marked: Marked): number {
  const { fileBytes, stride, first = 0, end = fileBytes / chunkBytes } = marked
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)
  try {
    ftruncateSync(fd, fileBytes)
    let count = 0
    for (let chunk = first; chunk < end; chunk += stride) {
      writeSync(fd, mark(`chunk ${chunk}`), 0, 32, chunk * chunkBytes)
      count += 1
    }
    return count
  } finally {
    closeSync(fd)
  }
}

/** A page like those that guests dirty: half of it has no pattern, half repeats. No two calls give the same. */
export function changedPage(seed: string): Buffer {
  const page = Buffer.alloc(pageBytes)
  for (let at = 0; at < pageBytes / 2; at += 32) mark(`${seed} ${at}`).copy(page, at)
  page.fill(`${seed} `, pageBytes / 2)
  return page
}

/** Writes one new page into each of `count` distinct chunks, spread over the whole file, and syncs it. */
export function changeChunks(path: string, fileBytes: number, count: number, seed: string): void {
  const fd = openSync(path, 'r+')
  try {
    for (const at of changedOffsets(fileBytes, count)) writeSync(fd, changedPage(`${seed} ${at}`), 0, pageBytes, at)
    fdatasyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Offsets of the pages that `changeChunks` writes: one page, not always the same, of evenly spread chunks. */
export function changedOffsets(fileBytes: number, count: number): number[] {
  const stride = Math.floor(fileBytes / chunkBytes / count)
  return Array.from({ length: count }, (_, index) => index * stride * chunkBytes + (index % 16) * pageBytes)
}

function mark(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
