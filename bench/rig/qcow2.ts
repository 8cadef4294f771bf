/** A qcow2 image with internal snapshots: what Holdfast's epochs are held against. */
import { rmSync, statSync } from 'node:fs'
import { markChunks } from './data.ts'
import type { Marked } from './data.ts'
import { runToEnd } from './programs.ts'
import type { Scratch } from './scratch.ts'

/**
 * Makes `path` with the contents of `markChunks`, compressed, with clusters of the size of Holdfast's chunks: each
 * has to be decoded when it is read, as Holdfast's have.
 */
export function makeQcow2(scratch: Scratch, path: string, marked: Marked): void {
  const raw = scratch.memoryPath('raw')
  markChunks(raw, marked)
  const options = 'cluster_size=64k,compression_type=zstd'
  runToEnd('qemu-img', ['convert', '-c', '-W', '-m', '8', '-f', 'raw', '-O', 'qcow2', '-o', options, raw, path])
  rmSync(raw)
}

/** Writes a page of 4 KiB at each offset and flushes, in one process. */
export function writePages(path: string, offsets: readonly number[], pattern: number): void {
  const writes = offsets.map((offset) => `write -q -P ${pattern} ${offset} 4096\n`)
  runToEnd('qemu-io', ['-f', 'qcow2', path], `${writes.join('')}flush\nquit\n`)
}

export function takeSnapshot(path: string, name: string): void {
  runToEnd('qemu-img', ['snapshot', '-c', name, path])
}

export function allocatedBytes(path: string): number {
  return statSync(path).blocks * 512
}
