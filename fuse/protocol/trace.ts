/**
 * One line per message, printed from the same table and layouts that the decoder uses.
 *
 *   > 42 READ node 7 {fh 0, offset 65536, size 4096, ...}
 *   < 42 ok 4096 bytes
 */
import { errnoName } from '../errno.ts'
import type { Field, Layout } from './layout.ts'
import type { Message } from './message.ts'
import { flagNames } from './negotiate.ts'
import { opcodeTable } from './opcodes.ts'
import type { OpcodeRow } from './opcodes.ts'
import type { Reply } from './reply.ts'
import { totalBytes } from './reply.ts'
import { IN_HEADER, INIT_IN, OUT_HEADER } from './structures.ts'

const rows = new Map<number, OpcodeRow>(opcodeTable.map((row) => [row.opcode, row]))
const omitted = /^(padding|dummy|unused|spare|lock_owner|fh$)/

/** A request, whatever its bytes are: what cannot be read is said. */
export function traceRequest(message: Message): string {
  const row = rows.get(message.opcode)
  const name = row?.name ?? `opcode ${message.opcode}`
  const again = message.resent ? ' resent' : ''
  const line = `> ${message.unique}${again} ${name} node ${message.node}`
  if (row === undefined) return line
  if (!message.fixed(row.fixed.bytes)) return `${line} (cut short: ${message.length} bytes)`
  return [line, structureText(message, row.fixed), ...namesOf(message, row)].filter(Boolean).join(' ')
}

/** The reply to `unique`, or that there is none yet. */
export function traceReply(unique: number, reply: Reply): string {
  if (reply.bytes === 0) return `< ${unique} no reply`
  const error = reply.buffer.readInt32LE(OUT_HEADER.at.error)
  if (error !== 0) return `< ${unique} ${errnoName(error)}`
  const bytes = reply.bytes - OUT_HEADER.bytes + totalBytes(reply.pieces ?? [])
  return `< ${unique} ok ${bytes} bytes`
}

function namesOf(message: Message, row: OpcodeRow): string[] {
  if (row.fixed === INIT_IN) {
    const { at } = INIT_IN
    return [`[${flagNames(message.u32(at.flags), message.u32(at.flags2)).join(' ')}]`]
  }
  return Array.from({ length: row.names }, () => JSON.stringify(message.name().toString()))
}

function structureText(message: Message, fixed: Layout<string>): string {
  const shown = fixed.fields.filter((field) => !omitted.test(field.name))
  if (shown.length === 0) return ''
  return `{${shown.map((field) => `${field.name} ${fieldText(message.buffer, field)}`).join(', ')}}`
}

function fieldText(buffer: Buffer, field: Field): string {
  const at = IN_HEADER.bytes + field.at
  if (field.shape === 'u64') return buffer.readBigUInt64LE(at).toString()
  if (field.shape === 'i64') return buffer.readBigInt64LE(at).toString()
  if (field.shape === 'u32') return buffer.readUInt32LE(at).toString()
  if (field.shape === 'i32') return buffer.readInt32LE(at).toString()
  return field.shape === 'u16' ? buffer.readUInt16LE(at).toString() : `(${field.bytes} bytes)`
}
