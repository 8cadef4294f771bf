/** The process that writes while things are killed, what it was told, and whether it is there. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const blockBytes = 4096
export const writesBetweenSyncs = 17
export const namesKept = 8

const blockCount = 1500

/** What stands in the directory at the beginning. */
export function prepare(directory: string): void {
  mkdirSync(join(directory, 'names'))
  const file = openSync(join(directory, 'blocks'), 'w')
  ftruncateSync(file, blockBytes * blockCount)
  closeSync(file)
}

export class SyncedWriter {
  /** Its first number. */
  readonly first: number
  readonly #process
  readonly #closed: Promise<unknown>
  #output = ''

  constructor(directory: string, first: number) {
    this.first = first
    const script = new URL('synced-writer.ts', import.meta.url).pathname
    this.#process = spawn(process.execPath, ['--no-warnings', script, directory, `${first}`, `${blockCount}`], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#process.stdout.setEncoding('utf8').on('data', (text: string) => (this.#output += text))
    this.#closed = once(this.#process, 'close')
  }

  /** The last number that a sync covered, or `otherwise`. */
  synced(otherwise: number): number {
    return this.#output.split('\n').slice(0, -1).filter((line) => /^\d+$/.test(line)).map(Number).at(-1) ?? otherwise
  }

  /** What went wrong, in its words; null where nothing did. */
  get failure(): string | null {
    return /^failed: .*$/m.exec(this.#output)?.[0] ?? null
  }

  async hasWritten(): Promise<void> {
    while (this.synced(-1) < 0 && this.failure === null) await once(this.#process.stdout, 'data')
  }

  /** Ends it, or waits until it has ended because its mount is gone. */
  async end(): Promise<void> {
    this.#process.stdin.on('error', () => undefined).end()
    // With the last of what it said.
    await this.#closed
  }

  kill(): void {
    this.#process.kill('SIGKILL')
  }
}

export interface Found {
  /** The newest number in any block. */
  newest: number
  faults: string[]
}

/**
 * Every block whole, in its place, and at least as new as what was synced up to `synced`; every name that a writer
 * which began with `first` had synced and not begun to remove, and none that it had removed before.
 */
export function judge(directory: string, first: number, synced: number): Found {
  const found: Found = { newest: 0, faults: [] }
  const bytes = readFileSync(join(directory, 'blocks'))
  if (bytes.length !== blockBytes * blockCount) found.faults.push(`the file has ${bytes.length} bytes`)
  for (let place = 0; place < blockCount; place += 1) {
    const block = bytes.subarray(place * blockBytes, (place + 1) * blockBytes)
    const number = block.readDoubleLE(0)
    const isWhole = block.equals(Buffer.alloc(blockBytes, block.subarray(0, 8)))
    const isPossible = Number.isInteger(number) && number >= 0 && (number === 0 || number % blockCount === place)
    const due = synced - ((synced - place) % blockCount + blockCount) % blockCount
    if (!isWhole || !isPossible || number < due) found.faults.push(`place ${place} holds ${number}, whole: ${isWhole}; ${due} was synced`)
    found.newest = Math.max(found.newest, number)
  }
  const names = new Set(readdirSync(join(directory, 'names')).map(Number))
  for (let number = synced; number >= first && number > synced - (namesKept - 1) * writesBetweenSyncs; number -= writesBetweenSyncs) {
    if (number % writesBetweenSyncs === 0 && !names.has(number)) found.faults.push(`name ${number} is gone; ${synced} was synced`)
  }
  for (let number = synced - namesKept * writesBetweenSyncs; number >= first; number -= writesBetweenSyncs) {
    if (number % writesBetweenSyncs === 0 && names.has(number)) found.faults.push(`name ${number} is back; ${synced} was synced`)
  }
  for (const number of names) if (!existsSync(join(directory, 'names', String(number)))) found.faults.push(`name ${number} leads nowhere`)
  return found
}
