/**
 * Where an image's files lie in the store:
 *
 *   images/NAME/image.json          identity
 *   images/NAME/head                newest head record (format/epoch.ts)
 *   images/NAME/epochs/00000012     records of epochs by number
 *   images/NAME/pins/12             empty: the epoch is pinned
 *   images/NAME/stats               JSON lines with what is not identity: stored bytes of each epoch
 *   images/NAME/log/00000007.disk   segments of the log, one file a lane
 *   images/NAME/fenced              another writer has taken it over (fence.ts)
 *   images/NAME/sets/00000012       working set recorded for an epoch (rebuildable)
 */
import { join } from 'node:path'
import type { Lane } from '../format/log.ts'

export class ImageLayout {
  readonly directory: string

  constructor(storeDirectory: string, image: string) {
    this.directory = join(storeDirectory, 'images', image)
  }

  get identity(): string {
    return join(this.directory, 'image.json')
  }

  get head(): string {
    return join(this.directory, 'head')
  }

  get epochs(): string {
    return join(this.directory, 'epochs')
  }

  get pins(): string {
    return join(this.directory, 'pins')
  }

  get fence(): string {
    return join(this.directory, 'fenced')
  }

  get stats(): string {
    return join(this.directory, 'stats')
  }

  get log(): string {
    return join(this.directory, 'log')
  }

  get sets(): string {
    return join(this.directory, 'sets')
  }

  epoch(number: number): string {
    return join(this.epochs, padded(number))
  }

  pin(number: number): string {
    return join(this.pins, String(number))
  }

  workingSet(number: number): string {
    return join(this.sets, padded(number))
  }

  segment(number: number, lane: Lane): string {
    return join(this.log, `${padded(number)}.${lane}`)
  }
}

/** Number and lane of a segment's file name, or null for a foreign file. */
export function parseSegmentName(name: string): { segment: number; lane: Lane } | null {
  const match = /^(\d{8,15})\.(disk|memory)$/.exec(name)
  return match === null ? null : { segment: Number(match[1]), lane: match[2] as Lane }
}

function padded(number: number): string {
  return String(number).padStart(8, '0')
}
