/** The form of a chunk that is put, by what the store holds of its earlier versions. */
import type { Buffer } from 'node:buffer'
import { assert, isCode } from '../errors.ts'
import { codecRaw } from '../format/pack-record.ts'
import { deltaDepthMax } from '../limits.ts'
import type { ChunkId } from './chunks.ts'
import { type ChunkForm, type Version, chooseForm, wholeForm } from './delta-policy.ts'
import type { RecordReader } from './record-reader.ts'

/** A chunk whose records are all bad (`isIndexed`) is written whole, so that what builds on it can be read again. */
export function formFor(
  reader: RecordReader, id: ChunkId, plain: Uint8Array, base: ChunkId | undefined, isIndexed: boolean,
): ChunkForm {
  if (isIndexed) {
    reader.forget(id)
    return wholeForm(plain)
  }
  if (base === undefined) return wholeForm(plain)
  try {
    return chooseForm(plain, versionsOf(reader, base))
  } catch (error) {
    // A base that cannot be read is no base.
    if (!isCode(error, 'DAMAGED', 'NOT_FOUND')) throw error
    return wholeForm(plain)
  }
}

/** The form, decoded and found to give the id; raw where a codec does not give back what it got. */
export function provenForm(
  reader: RecordReader, id: ChunkId, plain: Uint8Array, kind: number, form: ChunkForm,
): ChunkForm {
  const content = { kind, id, plainBytes: plain.length }
  if (reader.admit({ ...content, ...form }, form.payload)) return form
  const raw = { codec: codecRaw, depth: 0, payload: plain, paidBytes: 0, baseId: undefined, baseDepth: 0 }
  assert(reader.admit({ ...content, ...raw }, plain), 'a chunk does not change while it is put')
  return raw
}

function versionsOf(reader: RecordReader, base: ChunkId): Version[] {
  const header = reader.header(base, deltaDepthMax)
  if (header === undefined) return []
  return [header, ...reader.bases(header)].map(({ id, depth, paidBytes }) => {
    return { id, depth, paidBytes, plain: (): Buffer => reader.read(id) }
  })
}
