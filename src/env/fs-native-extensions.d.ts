/** The calls that are used of a package that brings no types. */
declare module 'fs-native-extensions' {
  /** An exclusive OFD lock on the whole file; false when another open file holds one. */
  export function tryLock(fd: number): boolean
  /** Names of extended attributes, taken for UTF-8. */
  export function listAttrsSync(fd: number): string[]
  /** Null when there is none of that name. */
  export function getAttrSync(fd: number, name: string): Uint8Array | null
}
