import { existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { undone } from '../run/undone.ts'

const memory = '/dev/shm'
const roomBytes = 2 ** 28

/**
 * In memory where there is room: what a power loss leaves is made up, so nothing has to reach a disk, and the syncs of
 * LevelDB would be most of the time. It goes with its process at the latest.
 */
export class QuickDirectory implements Disposable {
  readonly path: string
  readonly #remove: () => void

  constructor(prefix: string) {
    this.path = mkdtempSync(join(placeWithRoom(), prefix))
    this.#remove = undone(() => rmSync(this.path, { recursive: true, force: true }))
  }

  [Symbol.dispose](): void {
    this.#remove()
  }
}

function placeWithRoom(): string {
  if (!existsSync(memory)) return tmpdir()
  const { bavail, bsize } = statfsSync(memory)
  return bavail * bsize > roomBytes ? memory : tmpdir()
}
