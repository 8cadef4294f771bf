/**
 * From a message to its reply, without any I/O: finds the row of the opcode, checks the lengths,
 * decodes, calls the file system, encodes. Nothing that the kernel sends makes it throw.
 */
import { CONTROL_NODEID, controlEntry } from './control.ts'
import { ERRNO } from './errno.ts'
import { limits } from './limits.ts'
import type { FileOperations } from './operations.ts'
import { Postponed } from './postponed.ts'
import { decoders } from './protocol/decode.ts'
import type { Decoder } from './protocol/decode.ts'
import { FOPEN } from './protocol/flags.ts'
import type { Message } from './protocol/message.ts'
import { isSpoken, negotiate, putInit } from './protocol/negotiate.ts'
import type { InitOptions, Negotiated } from './protocol/negotiate.ts'
import { OPCODE, opcodeTable } from './protocol/opcodes.ts'
import type { OpcodeRow } from './protocol/opcodes.ts'
import type { Reply } from './protocol/reply.ts'
import { GETXATTR_IN } from './protocol/structures.ts'
import type { ReaddirRequest, ReaddirplusRequest, ReadRequest, RequestContext } from './requests.ts'
import { DEFERRED } from './results.ts'
import type { Attributes, Bytes, Entry, FileSystemStatistics, Opened } from './results.ts'

export interface DispatchOptions extends InitOptions {
  readonly operations: FileOperations
  readonly controlName: string | undefined
  readonly onControl: () => Uint8Array
  readonly onFault: (error: unknown) => void
  readonly onNegotiated: (negotiated: Negotiated) => void
  /** The present message is to be dispatched again later. */
  readonly onPostponed: (context: RequestContext) => void
}

/** What happened so far. */
export interface DispatchCounts {
  requestCount: number
  /** Those of them that the kernel had sent to a server before. */
  resentCount: number
  /** Messages with a length or a field that cannot be. */
  malformedCount: number
  /** Requests with an opcode that the table does not have. */
  unknownCount: number
  /** Throws of the file system, answered EIO. */
  faultCount: number
}

type Handler = (this: FileOperations, context: RequestContext, request: object) => unknown

interface Route {
  readonly row: OpcodeRow
  readonly decode: Decoder | null
  readonly handler: Handler | undefined
}

const ROOT_NODEID = 1

export class Dispatcher {
  readonly counts: DispatchCounts = {
    requestCount: 0, resentCount: 0, malformedCount: 0, unknownCount: 0, faultCount: 0,
  }
  readonly #options: DispatchOptions
  readonly #operations: FileOperations
  readonly #message: Message
  readonly #reply: Reply
  readonly #routes: readonly (Route | undefined)[]
  readonly #controlName: Buffer | undefined

  constructor(options: DispatchOptions, message: Message, reply: Reply) {
    this.#options = options
    this.#operations = options.operations
    this.#message = message
    this.#reply = reply
    this.#routes = routesTo(options.operations)
    this.#controlName = options.controlName === undefined ? undefined : Buffer.from(options.controlName)
  }

  /** Answers the message of `length` bytes in the buffer; `reply.bytes` is 0 when none is due. */
  dispatch(length: number): void {
    const message = this.#message
    this.counts.requestCount++
    const whole = message.start(length)
    this.#reply.begin(message)
    if (whole && message.resent) this.counts.resentCount++
    const route = this.#routes[message.opcode]
    if (!whole || (route !== undefined && !message.fixed(route.row.fixed.bytes))) {
      this.#malformed(route)
    } else if (route === undefined) {
      this.counts.unknownCount++
      this.#reply.error(-ERRNO.ENOSYS)
    } else {
      this.#route(route, this.#context())
    }
  }

  #context(): RequestContext {
    const message = this.#message
    return {
      unique: message.unique,
      resent: message.resent,
      opcode: message.opcode,
      uid: message.uid,
      gid: message.gid,
      pid: message.pid,
    }
  }

  #malformed(route: Route | undefined): void {
    this.counts.malformedCount++
    if (route?.row.reply === 'none') this.#reply.none()
    else this.#reply.error(-ERRNO.EINVAL)
  }

  #route(route: Route, context: RequestContext): void {
    const { row, decode, handler } = route
    if (row.reply === 'session') return this.#init()
    if (row.opcode === OPCODE.NOTIFY_REPLY) return this.#woken()
    if (this.#controlName !== undefined && this.#message.node >= CONTROL_NODEID) return this.#control(row)
    if (decode === null || handler === undefined) return this.#absent(row)
    const request = decode(this.#message, this.#reply)
    if (this.#message.malformed) return this.#malformed(route)
    if (typeof request === 'number') return this.#reply.error(request)
    if (row.opcode === OPCODE.LOOKUP && this.#isControlName(request)) return this.#reply.entry(controlEntry)
    this.#call(row, handler, context, request)
  }

  #absent(row: OpcodeRow): void {
    if (row.absent === 0) this.#reply.send(0)
    else this.#reply.error(row.absent)
  }

  #call(row: OpcodeRow, handler: Handler, context: RequestContext, request: object): void {
    try {
      const outcome = handler.call(this.#operations, context, request)
      if (outcome === DEFERRED || row.reply === 'none') return
      if (typeof outcome === 'number' && outcome < 0) this.#reply.error(outcome)
      else this.#encode(row, outcome, request)
    } catch (error) {
      if (error instanceof Postponed) return this.#postpone(context)
      this.counts.faultCount++
      if (row.reply !== 'none') this.#reply.error(-ERRNO.EIO)
      this.#options.onFault(error)
    }
  }

  #postpone(context: RequestContext): void {
    this.#reply.none()
    this.#options.onPostponed(context)
  }

  /** The row says which type the outcome has: `FileOperations` is written to match it. */
  #encode(row: OpcodeRow, outcome: unknown, request: object): void {
    const reply = this.#reply
    switch (row.reply) {
      case 'bytes':
        return this.#bytes(outcome as Bytes | number, request)
      case 'written':
        return reply.written(outcome as number)
      case 'entry':
        return reply.entry(outcome as Entry)
      case 'attributes':
        return reply.attributes(outcome as Attributes)
      case 'filled':
        return reply.send((request as ReaddirRequest | ReaddirplusRequest).into.bytes)
      case 'created':
        return reply.created(outcome as Entry)
      case 'opened':
        return reply.opened((outcome as Opened).flags)
      case 'statistics':
        return reply.statistics(outcome as FileSystemStatistics)
      case 'value':
        return this.#value(outcome as Uint8Array)
      case 'offset':
        return reply.offset(outcome as bigint)
      default:
        return reply.send(0)
    }
  }

  #bytes(outcome: Bytes | number, request: object): void {
    const bytesMax = 'bytesMax' in request ? (request as ReadRequest).bytesMax : limits.linkBytesMax
    if (typeof outcome !== 'number') return this.#reply.bytesOf(outcome, bytesMax)
    if (outcome > bytesMax) throw new RangeError(`${outcome} bytes read for a request of ${bytesMax}`)
    this.#reply.send(outcome)
  }

  /** Extended attributes: asked with size 0 for the size, else with the room that there is. */
  #value(value: Uint8Array): void {
    const room = this.#message.u32(GETXATTR_IN.at.size)
    if (room === 0) this.#reply.xattrBytes(value.length)
    else if (value.length > room) this.#reply.error(-ERRNO.ERANGE)
    else this.#reply.bytesOf(value, room)
  }

  #init(): void {
    const negotiated = negotiate(this.#message, this.#options)
    if (!isSpoken(negotiated)) return this.#reply.error(-ERRNO.EPROTO)
    this.#reply.send(putInit(this.#reply, negotiated))
    this.#options.onNegotiated(negotiated)
  }

  #woken(): void {
    try {
      this.#options.onControl()
    } catch (error) {
      this.counts.faultCount++
      this.#options.onFault(error)
    }
  }

  #isControlName(request: object): boolean {
    if (this.#controlName === undefined || this.#message.node !== ROOT_NODEID) return false
    return 'name' in request && this.#controlName.equals(request.name as Buffer)
  }

  /** Requests about the control file; whatever makes no sense for it is not permitted. */
  #control(row: OpcodeRow): void {
    switch (row.opcode) {
      case OPCODE.GETATTR:
        return this.#reply.attributes(controlEntry.attributes)
      case OPCODE.OPEN:
        return this.#operations.open === undefined
          ? this.#absent(row)
          : this.#reply.opened(FOPEN.DIRECT_IO)
      case OPCODE.READ:
        return this.#controlRead(row)
      case OPCODE.FORGET:
        return
      case OPCODE.RELEASE:
      case OPCODE.FLUSH:
      case OPCODE.INTERRUPT:
        return this.#absent(row)
      default:
        return this.#reply.error(-ERRNO.EPERM)
    }
  }

  #controlRead(row: OpcodeRow): void {
    const request = decoders.READ?.(this.#message, this.#reply) ?? -ERRNO.EINVAL
    if (typeof request === 'number') return this.#reply.error(request)
    try {
      this.#encode(row, this.#options.onControl(), request)
    } catch (error) {
      this.counts.faultCount++
      this.#reply.error(-ERRNO.EIO)
      this.#options.onFault(error)
    }
  }
}

function routesTo(operations: FileOperations): (Route | undefined)[] {
  const routes: (Route | undefined)[] = []
  for (const row of opcodeTable) {
    const handler = row.operation === null ? undefined : operations[row.operation]
    routes[row.opcode] = { row, decode: decoders[row.name], handler: handler as Handler | undefined }
  }
  return routes
}
