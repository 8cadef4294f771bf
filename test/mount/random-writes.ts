/**
 * Writes numbered blocks until it is killed. Arguments: a file, the first number, and how many blocks the file
 * has. Each block of 4,096 bytes holds its number of writing throughout; block k of a round goes to place
 * number mod blocks. After each sync the last number that it covers is printed.
 */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'

const [file, first, blockCount] = process.argv.slice(2)
const blockBytes = 4096
const writesBetweenSyncs = 37
const descriptor = openSync(file, 'r+')

for (let number = Number(first); ; number += 1) {
  const block = Buffer.alloc(blockBytes)
  for (let at = 0; at < blockBytes; at += 8) block.writeDoubleLE(number, at)
  try {
    writeSync(descriptor, block, 0, blockBytes, (number % Number(blockCount)) * blockBytes)
    if (number % writesBetweenSyncs === 0) {
      fsyncSync(descriptor)
      process.stdout.write(`${number}\n`)
    }
  } catch {
    // The server is gone: that is what the test waits for.
    break
  }
}
closeSync(descriptor)
