/** Some things at once, in order of their beginning. After a failure no more are begun; what runs is waited for. */
export async function inGroups<T>(
  things: readonly T[], atOnceMax: number, run: (thing: T) => Promise<void>,
): Promise<void> {
  let next = 0
  let failure: unknown
  const lane = async (): Promise<void> => {
    while (next < things.length && failure === undefined) {
      const thing = things[next]
      next += 1
      try {
        await run(thing)
      } catch (error) {
        failure ??= error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnceMax, things.length) }, lane))
  if (failure !== undefined) throw failure
}

/** All are over before a failure of one is told: nothing of a failed step overlaps the next. */
export async function together<T extends readonly unknown[]>(steps: { [K in keyof T]: Promise<T[K]> }): Promise<T> {
  for (const outcome of await Promise.allSettled(steps)) if (outcome.status === 'rejected') throw outcome.reason
  return Promise.all(steps) as Promise<unknown> as Promise<T>
}
