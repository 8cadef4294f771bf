/**
 * What is said to a flush process and what it answers: one JSON object a line, each with the request's id.
 * Requests are carried out one after another.
 */
export type FlushRequest =
  /** Makes dirty pages of mapped files and their writes reach the mount's server. Files stay open. */
  | { id: number; verb: 'sync'; paths: string[] }
  /** Copies a file of the host into the mount, replacing what has the name. */
  | { id: number; verb: 'copy'; from: string; to: string }
  | { id: number; verb: 'remove'; path: string }
  | { id: number; verb: 'list'; path: string }
  | { id: number; verb: 'stat'; paths: string[] }

export interface ListedFile {
  path: string
  kind: 'file' | 'directory' | 'link' | 'other' | 'none'
  bytes: number
  inode: number
}

export type FlushAnswer =
  | { id: number; files: ListedFile[] }
  | { id: number; error: { code: string; message: string } }

type WithoutId<T> = T extends { id: number } ? Omit<T, 'id'> : never
export type FlushCall = WithoutId<FlushRequest>
