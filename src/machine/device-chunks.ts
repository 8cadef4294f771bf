/** Chunks of guest memory that a hypervisor reads when it loads device state, however long nobody has written them. */
import type { Machine } from '../../drivers/index.ts'
import type { FileChunks } from '../image/machine-state.ts'
import { chunkBytes } from '../limits.ts'
import type { MachineFacts } from './facts.ts'

/** By memory file. Errors: those of the driver. */
export async function deviceChunks(machine: Pick<Machine, 'memory' | 'deviceMemory'>): Promise<FileChunks[]> {
  const files = new Map<string, Set<number>>()
  const addresses = await machine.deviceMemory()
  for (const { gpa, size, file, offset } of machine.memory.regions) {
    if (gpa === null || file === null) continue
    const within = addresses.filter((address) => address >= gpa && address < gpa + size)
    const chunks = within.map((address) => Math.floor((offset + address - gpa) / chunkBytes))
    files.set(file, new Set([...files.get(file) ?? [], ...chunks]))
  }
  return [...files].map(([path, chunks]) => ({ path, chunks: [...chunks].sort((left, right) => left - right) }))
}

/** Those of the epoch's devices before others. */
export function withDevices({ deviceChunks: devices = [] }: MachineFacts, files: readonly FileChunks[]): FileChunks[] {
  return files.map(({ path, chunks }) => {
    const first = devices.find((each) => each.path === path)?.chunks ?? []
    return { path, chunks: [...new Set([...first, ...chunks])] }
  })
}
