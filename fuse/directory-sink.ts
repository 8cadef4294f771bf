/** Takes the entries of a READDIR. */
export interface DirectorySink {
  /** Of the answer so far, where it goes to the kernel as bytes. */
  readonly bytes: number
  /** False when there is no room left: the entry was not taken. Of `mode` only the type counts. */
  add(name: Uint8Array, cookie: number, inode: number, mode: number): boolean
}
