/** A qcow2 image with internal snapshots: what Holdfast's epochs are held against. */
import { statSync } from 'node:fs'
import { runToEnd } from './programs.ts'

/** Makes `path` from a raw file, sparse as that is, with clusters of the size of Holdfast's chunks. */
export function makeQcow2(raw: string, path: string): void {
  runToEnd('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', '-o', 'cluster_size=64k,lazy_refcounts=off', raw, path])
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
