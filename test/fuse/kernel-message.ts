/** Messages as the kernel would send them, and a dispatcher to give them to, without any device. */
import { Dispatcher } from '../../fuse/dispatch.ts'
import type { DispatchOptions } from '../../fuse/dispatch.ts'
import { limits } from '../../fuse/limits.ts'
import type { FileOperations } from '../../fuse/index.ts'
import type { Layout } from '../../fuse/protocol/layout.ts'
import { Message } from '../../fuse/protocol/message.ts'
import type { Negotiated } from '../../fuse/protocol/negotiate.ts'
import { OPCODE } from '../../fuse/protocol/opcodes.ts'
import type { OpcodeName } from '../../fuse/protocol/opcodes.ts'
import { Reply, totalBytes } from '../../fuse/protocol/reply.ts'
import { IN_HEADER } from '../../fuse/protocol/structures.ts'
import { MemoryFileSystem } from './memory-filesystem.ts'

export interface MessageParts {
  readonly opcode: OpcodeName | number
  readonly unique?: bigint
  readonly node?: bigint
  readonly fixed?: Uint8Array
  readonly tail?: Uint8Array | string
}

/** The bytes of one request. */
export function kernelMessage(parts: MessageParts): Buffer {
  const { opcode, unique = 2n, node = 1n, fixed = new Uint8Array(0), tail = '' } = parts
  const body = Buffer.concat([fixed, Buffer.from(tail as string)])
  const { at, bytes } = IN_HEADER
  const message = Buffer.alloc(bytes + body.length)
  message.writeUInt32LE(message.length, at.len)
  message.writeUInt32LE(typeof opcode === 'number' ? opcode : OPCODE[opcode], at.opcode)
  message.writeBigUInt64LE(unique, at.unique)
  message.writeBigUInt64LE(node, at.nodeid)
  message.writeUInt32LE(1000, at.uid)
  message.writeUInt32LE(100, at.gid)
  message.writeUInt32LE(77, at.pid)
  body.copy(message, bytes)
  return message
}

/** The bytes of a structure with some of its fields set. */
export function structure<Name extends string>(
  layout: Layout<Name>,
  values: Partial<Record<Name, bigint>>,
): Buffer {
  const bytes = Buffer.alloc(layout.bytes)
  for (const field of layout.fields) {
    const value = values[field.name as Name]
    if (value === undefined) continue
    if (field.bytes === 8) bytes.writeBigUInt64LE(BigInt.asUintN(64, value), field.at)
    else bytes.writeUInt32LE(Number(BigInt.asUintN(32, value)), field.at)
  }
  return bytes
}

export interface Answer {
  readonly isSent: boolean
  readonly length: number
  readonly error: number
  readonly unique: bigint
  readonly body: Buffer
}

export class Bench {
  readonly message = new Message(Buffer.from(new ArrayBuffer(limits.messageHeadBytes + limits.writeBytesMax)))
  readonly reply = new Reply(1)
  readonly faults: unknown[] = []
  readonly agreed: Negotiated[] = []
  readonly dispatcher: Dispatcher

  constructor(operations: FileOperations = new MemoryFileSystem(), options: Partial<DispatchOptions> = {}) {
    this.dispatcher = new Dispatcher(
      {
        operations,
        controlName: undefined,
        onControl: () => new Uint8Array(0),
        onFault: (error) => this.faults.push(error),
        onNegotiated: (negotiated) => this.agreed.push(negotiated),
        onPostponed: () => undefined,
        writeBytesMax: limits.writeBytesMax,
        backgroundCount: limits.backgroundCount,
        readaheadBytesMax: limits.readaheadBytesMax,
        killPrivileges: true,
        exportSupport: false,
        ...options,
      },
      this.message,
      this.reply,
    )
  }

  /** `length` may differ from that of the bytes, as only a broken kernel would have it. */
  ask(bytes: Buffer, length = bytes.length): Answer {
    bytes.copy(this.message.buffer)
    this.dispatcher.dispatch(length)
    const { buffer, bytes: sent, pieces } = this.reply
    const whole = Buffer.concat([buffer.subarray(0, sent), ...(pieces ?? [])])
    if (sent === 0) return { isSent: false, length: 0, error: 0, unique: 0n, body: whole }
    if (whole.readUInt32LE(0) !== sent + totalBytes(pieces ?? [])) throw new Error('the reply lies about its length')
    return {
      isSent: true,
      length: whole.length,
      error: whole.readInt32LE(4),
      unique: whole.readBigUInt64LE(8),
      body: whole.subarray(16),
    }
  }
}
