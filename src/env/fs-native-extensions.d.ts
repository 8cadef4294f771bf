/** The one call that is used of a package that brings no types. */
declare module 'fs-native-extensions' {
  /** An exclusive OFD lock on the whole file; false when another open file holds one. */
  export function tryLock(fd: number): boolean
}
