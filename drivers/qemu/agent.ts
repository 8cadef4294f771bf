/**
 * The guest agent: one JSON object a line over a virtio channel that keeps whatever an earlier user left in it,
 * so each talk begins with a delimited sync. Source: qga/qapi-schema.json of QEMU 7.2.
 */
import type { Duplex } from 'node:stream'
import { within } from '../deadline.ts'
import { DriverError, isDriverError } from '../errors.ts'
import { limits } from '../limits.ts'
import { parseObject } from './json.ts'
import type { JsonObject } from './json.ts'
import { LineDecoder } from './lines.ts'

const delimiterByte = 0xff

/**
 * Sets the guest's clock, in milliseconds after 1970. False where no agent answers in time or it refuses.
 * The stream is ended in any case.
 */
export async function setGuestClock(
  stream: Duplex,
  unixMs: number,
  syncId: number,
  timeoutMs: number = limits.agentTimeoutMs,
): Promise<boolean> {
  try {
    return await within(talk(stream, unixMs, syncId), timeoutMs, 'The guest agent')
  } catch (error) {
    if (isDriverError(error, 'TIMEOUT', 'DISCONNECTED', 'PROTOCOL')) return false
    throw error
  } finally {
    stream.destroy()
  }
}

async function talk(stream: Duplex, unixMs: number, syncId: number): Promise<boolean> {
  const replies = readReplies(stream)
  stream.write(Buffer.concat([Buffer.of(delimiterByte), request('guest-sync-delimited', { id: syncId })]))
  // Replies to somebody's earlier requests come first.
  while ((await replies.next())['return'] !== syncId);
  stream.write(request('guest-set-time', { time: unixMs * 1e6 }))
  return (await replies.next())['return'] !== undefined
}

function request(command: string, args: JsonObject): Buffer {
  return Buffer.from(`${JSON.stringify({ execute: command, arguments: args })}\n`)
}

function readReplies(stream: Duplex): { next(): Promise<JsonObject> } {
  const decoder = new LineDecoder(limits.messageBytesMax)
  const ready: JsonObject[] = []
  let wake: () => void = () => undefined
  let failure: DriverError | null = null
  const fail = (error: DriverError): void => {
    failure ??= error
    wake()
  }
  stream.on('data', (bytes: Buffer) => {
    try {
      for (const line of decoder.push(bytes)) ready.push(parseObject(afterDelimiter(line)) ?? {})
      if (ready.length > limits.commandsPendingMax)
        fail(new DriverError('PROTOCOL', 'The guest agent talks without being asked.'))
    } catch (error) {
      fail(error as DriverError)
    }
    wake()
  })
  const end = (): void => fail(new DriverError('DISCONNECTED', "The guest agent's channel closed."))
  stream.on('error', end).on('close', end).on('end', end)
  return {
    next: async () => {
      while (ready.length === 0 && failure === null)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      if (failure !== null) throw failure
      return ready.shift()!
    },
  }
}

/** The delimiter is no text: it reads as the replacement character. */
function afterDelimiter(line: string): string {
  return line.slice(line.lastIndexOf('\ufffd') + 1)
}
