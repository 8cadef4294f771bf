/** How a model checker came to a state. */

/** What was done on the way to the state of that key; the first state's `from` is ''. */
export function pathTo(seen: ReadonlyMap<string, { from: string; what: string }>, key: string): string[] {
  const path: string[] = []
  for (let at = key; at !== '';) {
    const step = seen.get(at)
    path.unshift(step?.what ?? '?')
    at = step?.from ?? ''
  }
  return path
}
