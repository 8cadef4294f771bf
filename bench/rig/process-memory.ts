/** What a process and its children weigh: the sum of their proportional set sizes, as the kernel counts it. */
import { readFileSync } from 'node:fs'
import { setInterval } from 'node:timers'

export interface Weight {
  readonly pssBytes: number
  readonly anonymousBytes: number
  readonly fileBytes: number
}

/** Processes that ended meanwhile weigh nothing. */
export function weigh(pid: number): Weight {
  const total = { pssBytes: 0, anonymousBytes: 0, fileBytes: 0 }
  for (const each of family(pid)) {
    const text = readOrNothing(`/proc/${each}/smaps_rollup`)
    total.pssBytes += field(text, 'Pss')
    total.anonymousBytes += field(text, 'Pss_Anon')
    total.fileBytes += field(text, 'Pss_File') + field(text, 'Pss_Shmem')
  }
  return total
}

/** Weighs again and again, so that a peak is seen; `stop` gives the heaviest. */
export function watchWeight(pid: number, intervalMs = 500): { stop(): Weight } {
  let heaviest = weigh(pid)
  const look = (): void => {
    const now = weigh(pid)
    if (now.pssBytes > heaviest.pssBytes) heaviest = now
  }
  const timer = setInterval(look, intervalMs)
  return {
    stop() {
      clearInterval(timer)
      look()
      return heaviest
    },
  }
}

/** The process and all that descend from it. */
function family(pid: number): number[] {
  const threads = readOrNothing(`/proc/${pid}/task/${pid}/children`)
  const children = threads.split(' ').filter((word) => word.trim() !== '').map(Number)
  return [pid, ...children.flatMap(family)]
}

function field(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
