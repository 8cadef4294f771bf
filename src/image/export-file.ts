/**
 * Writes a file of an epoch to a plain file: holes stay holes. The target appears under its name when it is
 * whole. A pipe or a terminal gets the bytes in order, holes as zeros.
 */
import { Buffer } from 'node:buffer'
import { dirname } from 'node:path'
import type { Env, EnvFile } from '../env/env.ts'
import { runProgram } from '../env/program.ts'
import { HoldfastError } from '../errors.ts'
import type { InodeRecord } from '../format/inode.ts'
import { chunkBytes } from '../limits.ts'
import type { ChunkReader } from '../store/chunks.ts'
import { breathe } from '../store/progress.ts'
import { entries } from './tree/index.ts'
import type { NodeReader } from './tree/index.ts'
import type { CallOptions } from './types.ts'

export interface ExportTarget {
  file: string
  format: 'raw' | 'qcow2'
}

/** Errors: EXISTS, UNSUPPORTED (qcow2 without qemu-img), NO_SPACE, IO, DAMAGED, ABORTED. */
export async function exportInode(
  env: Env, reader: ChunkReader, nodes: NodeReader, inode: InodeRecord, target: ExportTarget, options: CallOptions,
): Promise<{ bytes: number; dataBytes: number }> {
  const bytes = Number(inode.size)
  if (env.exists(target.file)) {
    const { kind } = env.stat(target.file)
    if (kind === 'file' || kind === 'directory') throw exists(target.file)
    if (target.format === 'qcow2') throw new HoldfastError('USAGE', 'qcow2 needs a file of its own: name a new one')
    using stream = env.open(target.file, 'write')
    // A link was followed to a file that holds something: pipes and terminals have no size.
    if (kind === 'link' && stream.size() > 0) throw exists(target.file)
    return { bytes, dataBytes: await writeInOrder(reader, nodes, inode, stream, options) }
  }
  const temporary = `${target.file}.part-${env.randomBytes(6).toString('hex')}`
  try {
    const dataBytes = await writeSparse(env, reader, nodes, inode, temporary, options)
    if (target.format === 'qcow2') await convert(env, temporary, options)
    env.rename(temporary, target.file)
    env.syncDirectory(dirname(target.file) || '.')
    return { bytes, dataBytes }
  } catch (error) {
    for (const path of [temporary, `${temporary}.qcow2`]) if (env.exists(path)) env.unlink(path)
    throw error
  }
}

async function writeSparse(
  env: Env, reader: ChunkReader, nodes: NodeReader, inode: InodeRecord, path: string, options: CallOptions,
): Promise<number> {
  using file = env.open(path, 'createNew')
  const total = Number(inode.size)
  let dataBytes = 0
  let count = 0
  for (const [chunk, id] of entries(nodes, inode.dataRoot)) {
    const at = chunk * chunkBytes
    const plain = reader.read(Buffer.from(id)).subarray(0, Math.max(0, Math.min(chunkBytes, total - at)))
    if (plain.length > 0) file.write(plain, at)
    dataBytes += plain.length
    count += 1
    if (count % chunksBetweenTurns === 0) {
      options.progress?.({ step: 'exporting', done: at, total, unit: 'bytes' })
      await breathe(options)
    }
  }
  file.truncate(total)
  file.sync()
  return dataBytes
}

async function writeInOrder(
  reader: ChunkReader, nodes: NodeReader, inode: InodeRecord, stream: EnvFile, options: CallOptions,
): Promise<number> {
  const total = Number(inode.size)
  const zeros = Buffer.alloc(chunkBytes)
  let at = 0
  let dataBytes = 0
  const put = async (plain: Buffer): Promise<void> => {
    stream.append(plain)
    at += plain.length
    options.progress?.({ step: 'exporting', done: at, total, unit: 'bytes' })
    await breathe(options)
  }
  for (const [chunk, id] of entries(nodes, inode.dataRoot)) {
    while (at < chunk * chunkBytes) await put(zeros)
    const plain = reader.read(Buffer.from(id)).subarray(0, Math.max(0, total - at))
    dataBytes += plain.length
    await put(plain)
  }
  while (at < total) await put(zeros.subarray(0, Math.min(chunkBytes, total - at)))
  return dataBytes
}

async function convert(env: Env, raw: string, options: CallOptions): Promise<void> {
  const made = `${raw}.qcow2`
  options.progress?.({ step: 'converting to qcow2', done: 0, total: 0, unit: 'steps' })
  await runProgram('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, made], options.signal)
  env.rename(made, raw)
}

function exists(file: string): HoldfastError {
  return new HoldfastError('EXISTS', `${file} exists: remove it, or choose another name`)
}

const chunksBetweenTurns = 64
