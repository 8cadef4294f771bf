/**
 * What the records that a crash left say of those that are missing. A record tells how far the disk lane was synced
 * when it was written; where more than that is lost, no crash tore it off.
 */
import { Buffer } from 'node:buffer'
import type { EnvFile } from '../env/env.ts'
import { announcedBytes, isRecordWhole, logRecordMagic, LogRecordView } from '../format/log.ts'
import { logRecordBytesMax } from '../limits.ts'

const magic = Buffer.alloc(4)
magic.writeUInt32LE(logRecordMagic)

export class LogWitness {
  #syncedSequence = 0

  /** The last record of the disk lane that was durable, as far as anybody tells; 0: nobody does. */
  get syncedSequence(): number {
    return this.#syncedSequence
  }

  note({ syncedSequence }: Pick<LogRecordView, 'syncedSequence'>): void {
    this.#syncedSequence = Math.max(this.#syncedSequence, syncedSequence)
  }

  /** Hears the records of a segment's file that lie behind a torn one, through `room`: more than one record's. */
  search(file: EnvFile, from: number, nonce: number, room: Buffer): void {
    const end = file.size()
    for (let at = from; at < end; ) {
      const bytes = room.subarray(0, file.read(room, at))
      at += this.#hearAll(bytes, nonce, at + bytes.length >= end)
    }
  }

  /** Where to go on: behind all bytes when they are the last, else where a record may be cut. */
  #hearAll(bytes: Buffer, nonce: number, isLast: boolean): number {
    const view = new LogRecordView()
    for (let at = bytes.indexOf(magic); at >= 0; at = bytes.indexOf(magic, at)) {
      if (!isLast && at > 0 && bytes.length - at < logRecordBytesMax) return at
      const lengthBytes = announcedBytes(bytes, at, nonce)
      const isRecord = lengthBytes > 0 && isRecordWhole(bytes, at, lengthBytes)
      view.moveTo(bytes, at)
      if (isRecord) this.note(view)
      at += isRecord ? lengthBytes : 1
    }
    return isLast ? bytes.length : bytes.length - magic.length + 1
  }
}
