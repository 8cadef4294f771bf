/**
 * The control protocol: one JSON document a line, UTF-8, over a unix socket. Both sides say hello first and
 * do not wait for the other's; a side that cannot work with the other's protocol says so and closes.
 *
 *   both     {"hello":{"protocol":1,"version":"0.1.0","pid":123}}
 *   client   {"id":1,"verb":"images","args":{}}            "detached":true goes on without the client
 *   client   {"id":1,"abort":true}
 *   daemon   {"id":1,"progress":{"step":"...","done":1,"total":2,"unit":"bytes"}}    any number
 *   daemon   {"id":1,"result":...}  or  {"id":1,"error":{"code":"...","message":"...","info":{}}}
 *   daemon   {"error":{...}}                               about the connection, which then closes
 *   daemon   {"moved":true}                                the last line: calls that have no answer were not begun,
 *                                                          and another process of the daemon takes them
 *
 * Ids are the client's, unused by its other calls under way. Answers come in any order.
 */
import { HoldfastError } from '../errors.ts'
import type { Progress } from '../image/types.ts'
import { controlProtocol } from './version.ts'

export interface Hello {
  protocol: number
  version: string
  pid: number
}

export type ClientMessage =
  | { type: 'hello'; hello: Hello }
  | { type: 'call'; id: number; verb: unknown; args: unknown; detached: boolean }
  | { type: 'abort'; id: number }

export type DaemonMessage =
  | { type: 'hello'; hello: Hello }
  | { type: 'progress'; id: number; progress: Progress }
  | { type: 'result'; id: number; result: unknown }
  | { type: 'error'; id: number | null; error: unknown }
  | { type: 'moved' }

export function encodeLine(message: object): string {
  return `${JSON.stringify(message)}\n`
}

/** Reads one line of a client; DAEMON when it is none of its messages. Verb and arguments are checked later. */
export function decodeClientLine(line: string): ClientMessage {
  const fields = fieldsOf(line)
  if ('hello' in fields) return { type: 'hello', hello: helloOf(fields.hello) }
  const id = idOf(fields.id)
  if (fields.abort === true) return { type: 'abort', id }
  if (!('verb' in fields)) throw nonsense('it has neither hello, verb nor abort')
  return { type: 'call', id, verb: fields.verb, args: fields.args ?? {}, detached: fields.detached === true }
}

/** Reads one line of the daemon; DAEMON when it is none of its messages. */
export function decodeDaemonLine(line: string): DaemonMessage {
  const fields = fieldsOf(line)
  if ('hello' in fields) return { type: 'hello', hello: helloOf(fields.hello) }
  if ('error' in fields) {
    return { type: 'error', id: fields.id === undefined ? null : idOf(fields.id), error: fields.error }
  }
  if (fields.moved === true) return { type: 'moved' }
  const id = idOf(fields.id)
  if ('progress' in fields) return { type: 'progress', id, progress: fields.progress as Progress }
  if (!('result' in fields)) throw nonsense('it has neither hello, progress, result, error nor moved')
  return { type: 'result', id, result: fields.result }
}

/** Null when both sides understand each other, else what to do about it. */
export function mismatchOf(client: Hello, daemon: Hello): HoldfastError | null {
  if (client.protocol === daemon.protocol) return null
  const message = `the daemon is version ${daemon.version} (control protocol ${daemon.protocol}), this command is `
    + `${client.version} (${client.protocol}): restart the daemon, kill -TERM ${daemon.pid} ends it`
  return new HoldfastError('DAEMON', message, { info: { client, daemon, supported: controlProtocol } })
}

export function nonsense(why: string): HoldfastError {
  return new HoldfastError('DAEMON', `a line of the control protocol cannot be read: ${why}`)
}

function fieldsOf(line: string): Record<string, unknown> {
  let document: unknown
  try {
    document = JSON.parse(line)
  } catch (error) {
    throw new HoldfastError('DAEMON', 'a line of the control protocol is not JSON', { cause: error })
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) throw nonsense('it is no object')
  return document as Record<string, unknown>
}

function idOf(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw nonsense('its id is no whole number')
}

function helloOf(value: unknown): Hello {
  if (typeof value !== 'object' || value === null) throw nonsense('its hello is no object')
  const { protocol, version, pid } = value as Record<string, unknown>
  if (!Number.isSafeInteger(protocol) || !Number.isSafeInteger(pid)) throw nonsense('its hello has no numbers')
  if (typeof version !== 'string' || version.length > 100) throw nonsense('its hello has no version')
  return { protocol: protocol as number, version, pid: pid as number }
}
