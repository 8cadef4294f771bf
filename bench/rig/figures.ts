/** Figures from measurements: percentiles, ratios, and the clock. */

/** The smallest value that at least this share (0 to 1) of the values does not exceed. NaN for none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN
}

/** Of an even count the lower of the two in the middle: a value that was measured. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5)
}

export function highest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), -Infinity)
}

export async function timed<T>(call: () => T | Promise<T>): Promise<{ ms: number; result: T }> {
  const begin = performance.now()
  const result = await call()
  return { ms: performance.now() - begin, result }
}
