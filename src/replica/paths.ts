/** Names and paths of objects: checked before they go anywhere, and when a server names them. */
import { HoldfastError } from '../errors.ts'
import { objectNameBytesMax, objectPathBytesMax } from './limits.ts'

const namePattern = new RegExp(`^[A-Za-z0-9_][A-Za-z0-9._@+=,-]{0,${objectNameBytesMax - 1}}$`)

export function isObjectName(name: string): boolean {
  return namePattern.test(name)
}

/** The path itself. '' is the root, where it is allowed. Errors: BAD_NAME. */
export function checkPath(path: string, root: 'root allowed' | 'below the root' = 'below the root'): string {
  if (path === '' && root === 'root allowed') return path
  if (path.length <= objectPathBytesMax && path.split('/').every(isObjectName)) return path
  throw new HoldfastError('BAD_NAME', `${JSON.stringify(path.slice(0, 100))} is not a path of a replica`)
}

/** Errors: BAD_NAME. */
export function checkName(name: string): string {
  if (isObjectName(name)) return name
  throw new HoldfastError('BAD_NAME', `${JSON.stringify(name.slice(0, 100))} is not a name in a replica`)
}

/** '' for a name in the root. */
export function parentOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : ''
}

export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

export function joinPath(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`
}
