/** Standard output and standard error of a command. */
import type { Writable } from 'node:stream'
import { faultOf, isDefect } from '../daemon/faults.ts'
import { isCode } from '../errors.ts'
import { exitCodeOf } from './exit-codes.ts'
import { printable } from './text/printable.ts'

/** Resolves when the stream took the text. A reader that went away (`| head`) is no failure of ours. */
export async function print(text: string | Uint8Array, stream: Writable = process.stdout): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const settle = (error?: Error | null): void => {
      stream.off('error', settle)
      if (error && !isCode(error, 'EPIPE')) reject(error)
      else resolve()
    }
    stream.once('error', settle)
    stream.write(text, settle)
  })
}

/** `holdfast: MESSAGE (CODE)` on standard error, with `json` also the document on standard output. */
export async function reportError(error: unknown, json: boolean): Promise<number> {
  const fault = faultOf(error)
  if (json) await print(`${JSON.stringify({ error: fault })}\n`)
  if (isDefect(error) && error instanceof Error) await print(`${error.stack}\n`, process.stderr)
  await print(`holdfast: ${printable(fault.message.replaceAll('\n', ' | '))} (${fault.code})\n`, process.stderr)
  return exitCodeOf(fault.code)
}
