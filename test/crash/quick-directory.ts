import { existsSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'

const memory = '/dev/shm'
const roomBytes = 2 ** 28

/**
 * In memory where there is room: what a power loss leaves is made up, so nothing has to reach a disk, and the syncs of
 * LevelDB would be most of the time.
 */
export function quickDirectory(): string {
  if (!existsSync(memory)) return tmpdir()
  const { bavail, bsize } = statfsSync(memory)
  return bavail * bsize > roomBytes ? memory : tmpdir()
}
