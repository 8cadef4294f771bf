/**
 * Puts an object right that holds a part of a pack and is damaged, from another replica that has the same bytes. Packs
 * are the same wherever they lie, so what is put has the name that it had. Every record in it is looked at first.
 */
import { Buffer } from 'node:buffer'
import { HoldfastError } from '../errors.ts'
import { packHeaderBytes } from '../format/pack-header.ts'
import { readRecordHeader, recordBytesOf, recordChecksumHolds } from '../format/pack-record.ts'
import { packDirectory, parseRangeName, wholeName } from './layout.ts'
import { PackReader } from './pack-reader.ts'
import { joinPath } from './paths.ts'
import type { CallOptions, Replica } from './replica.ts'

/**
 * Every object of `bad` that holds the byte at `offset` of the pack. Returns their paths.
 * Errors: NOT_FOUND and DAMAGED (of `good`), REPLICA_DENIED, those of every call.
 */
export async function repairPackAt(
  bad: Replica, good: Replica, packId: Buffer, offset: number, options?: CallOptions,
): Promise<string[]> {
  const directory = packDirectory(packId)
  const source = new PackReader(good)
  const repaired: string[] = []
  for await (const { name, bytes } of bad.list(directory, options)) {
    const range = name === wholeName ? { offset: 0, bytes } : parseRangeName(name)
    if (range === undefined || offset < range.offset || offset >= range.offset + range.bytes) continue
    const right = await source.read(packId, range.offset, range.bytes, options)
    if (!isSound(right, range.offset, offset)) {
      throw new HoldfastError('DAMAGED', `pack ${packId.toString('hex')} is damaged on ${good.url}, too`)
    }
    await bad.put(joinPath(directory, name), right, { ...options, replace: true })
    repaired.push(joinPath(directory, name))
  }
  return repaired
}

/** Whether records lie one behind the other from the start up to, and with, the one at `offset` of the pack. */
function isSound(bytes: Buffer, start: number, offset: number): boolean {
  for (let at = start === 0 ? packHeaderBytes : 0; at <= offset - start;) {
    const header = readRecordHeader(bytes, at)
    if (header === undefined || !recordChecksumHolds(bytes, at, header)) return false
    at += recordBytesOf(header)
  }
  return true
}
