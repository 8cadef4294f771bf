/** Entries of our own threads and processes: TypeScript in a checkout, compiled in an installed package. */

/** `name` as in a checkout (`./worker.ts`), beside the module whose `import.meta.url` is given. */
export function entryUrl(name: string, moduleUrl: string): URL {
  return new URL(moduleUrl.endsWith('.ts') ? name : name.replace(/\.ts$/, '.js'), moduleUrl)
}
