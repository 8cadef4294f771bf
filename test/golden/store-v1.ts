/** What `store-v1.tar.gz` holds: a whole store, as its version left it when its process was killed. */
import { Buffer } from 'node:buffer'

/** Bytes that do not compress, the same on every run. */
export function noise(seed: number, bytes: number): Buffer {
  let state = seed
  return Buffer.from(Array.from({ length: bytes }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state >>> 24
  }))
}

export const base = { 'a file': noise(1, 5000), 'directory/below': Buffer.from('below\n') } as const
/** What /disk says in vm@1 and vm@2, then in the head that is committed, then in the one that only the log has. */
export const disks = [2, 3, 4, 5].map((seed) => Buffer.concat([noise(2, 4000), noise(seed, 400), Buffer.alloc(70_000)]))
export const memory = noise(7, 3000)
export const machineState = noise(6, 2000)
export const machineFacts = { cpus: 1, memory: ['/memory'] }
export const workingSet = [{ path: '/memory', chunks: [0] }]
