/** Sizes and counts of the native transport, each with its reason. */
export const nativeLimits = Object.freeze({
  /** libfuse 2.9 reads the device with a buffer of this and a page. */
  requestBytesMax: 131_072,
  /** Bytes before a write's payload that belong to the file system, see `WriteRequest`. */
  headroomBytes: 4_096,
  /** Paths whose nodes are remembered; each costs a reference and about 200 bytes. */
  pathsMax: 8_192,
  /** How often a connection is looked at for its end, of which libfuse tells nobody. */
  watchMs: 500,
  /** The same while someone waits for it. */
  endingWatchMs: 5,
  /** The binding's own buffers for a mount point and for the options, with their NULs. */
  mountTextBytesMax: 1_023,
})
