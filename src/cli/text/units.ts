/** Sizes, times and shares as people read them. */

const sizeUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** `812 B`, `1.5 MiB`. */
export function bytesText(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < sizeUnits.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${sizeUnits[unit]}`
}

const ageUnits: readonly (readonly [string, number])[] = [
  ['d', 86_400_000], ['h', 3_600_000], ['min', 60_000], ['s', 1000],
]

/** `3 min ago`; times of the last second and of the future are `now`. */
export function ageText(thenMs: number, nowMs: number): string {
  const found = ageUnits.find(([, unitMs]) => nowMs - thenMs >= unitMs)
  return found === undefined ? 'now' : `${Math.floor((nowMs - thenMs) / found[1])} ${found[0]} ago`
}

/** `5 s`, `2 min 3 s`, `1 h 2 min`. */
export function durationText(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
}

/** `4.2 ms`. */
export function millisecondsText(ms: number): string {
  return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`
}

export function countText(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`
}
