/** Free ports of the loopback, below those that the kernel gives to clients: they stay free across a restart. */
import { createServer } from 'node:net'
import { randomInt } from 'node:crypto'
import { RigError } from '../errors.ts'
import { HOST } from './configuration.ts'

const FIRST = 20_000
const END = 32_000
const triesMax = 100

/** The first of `count` free consecutive ports. @throws RigError CLUSTER_FAILED when there are none. */
export async function freePorts(count: number): Promise<number> {
  for (let tries = 0; tries < triesMax; tries++) {
    const first = randomInt(FIRST, END - count)
    if (await areFree(first, count)) return first
  }
  throw new RigError('CLUSTER_FAILED', `no ${count} consecutive free ports between ${FIRST} and ${END}`)
}

async function areFree(first: number, count: number): Promise<boolean> {
  for (let port = first; port < first + count; port++) if (!await isFree(port)) return false
  return true
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, HOST, () => server.close(() => resolve(true)))
  })
}
