/** What the head tells its surroundings; called in the serving thread, must not block. */
export interface HeadEvents {
  /** Segments up to this number are complete and wait for their commit. */
  rotated(segment: number): void
  /** So much was written to a lane that it is time to start writing it back. */
  syncDue(segment: number): void
  failed(error: unknown): void
}

export interface HeadStatistics {
  unretiredBytes: number
  inodes: number
  writtenBytes: number
}
