/**
 * Writes numbered blocks and makes and removes names until its mount fails or its standard input closes.
 * Arguments: a directory, the first number, and how many blocks the file `blocks` in it has. Block k of 4,096
 * bytes goes to place k mod blocks and holds k throughout. With every sync a file named by the number is made
 * in `names` first, and the one of `namesKept` syncs before removed. After a sync its number is printed.
 */
import { closeSync, fsyncSync, openSync, unlinkSync, writeSync } from 'node:fs'
import process from 'node:process'
import { setImmediate } from 'node:timers/promises'
import { blockBytes, namesKept, writesBetweenSyncs } from './synced-writes.ts'

const [directory, first, blockCount] = process.argv.slice(2)
const descriptor = openSync(`${directory}/blocks`, 'r+')
let isAsked = false
process.stdin.on('end', () => (isAsked = true)).resume()

function name(number: number): string {
  return `${directory}/names/${number}`
}

async function write(): Promise<void> {
  const block = Buffer.alloc(blockBytes)
  for (let number = Number(first); !isAsked; number += 1) {
    for (let at = 0; at < blockBytes; at += 8) block.writeDoubleLE(number, at)
    writeSync(descriptor, block, 0, blockBytes, (number % Number(blockCount)) * blockBytes)
    if (number % writesBetweenSyncs !== 0) continue
    closeSync(openSync(name(number), 'wx'))
    const oldest = number - namesKept * writesBetweenSyncs
    if (oldest >= Number(first)) unlinkSync(name(oldest))
    fsyncSync(descriptor)
    process.stdout.write(`${number}\n`)
    await setImmediate()
  }
}

try {
  await write()
  closeSync(descriptor)
} catch (error) {
  // The mount is gone: that is for the test to judge.
  process.stdout.write(`failed: ${String(error)}\n`)
}
process.exit()
