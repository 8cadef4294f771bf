/** Lists of chunks by file, likeliest first. */
import type { FileChunks } from '../image/machine-state.ts'

/** Chunks of both, those of `first` in front; at most `chunksMax` a file. */
export function merged(first: readonly FileChunks[], second: readonly FileChunks[], chunksMax: number): FileChunks[] {
  return second.map(({ path, chunks }) => {
    const before = first.find((each) => each.path === path)?.chunks ?? []
    return { path, chunks: [...new Set([...before, ...chunks])].slice(0, chunksMax) }
  })
}
