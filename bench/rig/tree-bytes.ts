import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** The lengths of all files below a directory. */
export function treeBytes(path: string): number {
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' })
  return names.reduce((sum, name) => sum + statSync(join(path, name)).size, 0)
}
