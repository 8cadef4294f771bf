/** `export ... -`: the engine writes sparse files, so the bytes go through a temporary one. */
import { createReadStream, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import type { Buffer } from 'node:buffer'
import { print } from './output.ts'

const readBytes = 1024 * 1024

/** Has a file written by `write`, copies it to the stream (as far as that is read) and removes it. */
export async function exportTo(stream: Writable, write: (file: string) => Promise<unknown>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-export-'))
  try {
    const file = join(directory, 'file')
    await write(file)
    for await (const bytes of createReadStream(file, { highWaterMark: readBytes })) {
      if (!stream.writable) return
      await print(bytes as Buffer, stream)
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
