/** The waiting form of the lock, beside what the room env declares of this package. */
declare module 'fs-native-extensions' {
  /** Resolves when this open file holds the exclusive OFD lock on the whole file. */
  export function waitForLock(fd: number): Promise<void>
}
