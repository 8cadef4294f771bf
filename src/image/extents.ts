/**
 * What has been written over a file since its committed data: for each touched chunk the pieces of log
 * segments that lie over it, in offset order and without overlap, and what was cut off or zeroed beneath
 * them. The serving thread reads through it; the committer builds the same map from a segment's records.
 *
 * Everything is tagged with the number of its segment, so that a retired segment's pieces can be dropped
 * once the committed data holds them: later pieces lie over them and stay.
 */
import { chunkBytes } from '../limits.ts'

/** Bytes [from, to) of a chunk lie at `position` of segment `segment`; position -1: they are zeros. */
export interface Extent {
  from: number
  to: number
  segment: number
  position: number
}

/** Zeroed ranges of more chunks than this are kept as one range. */
const zeroRangeChunksMin = 64

interface ChunkOverlay {
  /** Committed bytes beneath count as zeros while this segment (0: none) is not retired. */
  zeroed: number
  pieces: Extent[]
}

interface Cut {
  segment: number
  /** Committed bytes at or beyond this offset are gone. */
  chunk: number
  within: number
}

interface ZeroRange {
  segment: number
  first: number
  /** Exclusive. */
  end: number
}

export class ExtentMap {
  readonly #chunks = new Map<number, ChunkOverlay>()
  #cuts: Cut[] = []
  #zeroRanges: ZeroRange[] = []
  /** Touched chunks in order; null when they changed since. */
  #sorted: Float64Array | null = null

  get isEmpty(): boolean {
    return this.#chunks.size === 0 && this.#cuts.length === 0 && this.#zeroRanges.length === 0
  }

  /** Numbers of the chunks with pieces, in no order; whole-chunk zero ranges and cuts are apart. */
  touched(): IterableIterator<number> {
    return this.#chunks.keys()
  }

  get touchedCount(): number {
    return this.#chunks.size
  }

  /** The lowest touched chunk at or after `from` that passes the test, or null. */
  nextTouched(from: number, test: (chunk: number) => boolean): number | null {
    this.#sorted ??= Float64Array.from(this.#chunks.keys()).sort()
    for (let at = lowerBound(this.#sorted, from); at < this.#sorted.length; at += 1) {
      if (test(this.#sorted[at])) return this.#sorted[at]
    }
    return null
  }

  zeroRanges(): readonly ZeroRange[] {
    return this.#zeroRanges
  }

  /** Lays `length` bytes at (chunk, within) whose first lies at `position` of `segment`; may span chunks. */
  write(chunk: number, within: number, length: number, segment: number, position: number): void {
    let done = 0
    while (done < length) {
      const take = Math.min(chunkBytes - within, length - done)
      this.#lay(chunk, { from: within, to: within + take, segment, position: position + done })
      done += take
      chunk += 1
      within = 0
    }
  }

  /** Zeros from (chunk, within) up to (endChunk, endWithin), exclusive. */
  zero(chunk: number, within: number, endChunk: number, endWithin: number, segment: number): void {
    if (chunk === endChunk) {
      if (endWithin > within) this.#lay(chunk, { from: within, to: endWithin, segment, position: -1 })
      return
    }
    if (within > 0) {
      this.#lay(chunk, { from: within, to: chunkBytes, segment, position: -1 })
      chunk += 1
    }
    if (chunk < endChunk) {
      this.#zeroChunks(chunk, endChunk, segment)
    }
    if (endWithin > 0) this.#lay(endChunk, { from: 0, to: endWithin, segment, position: -1 })
  }

  /** The file's size became (chunk, within): all beyond is gone, also if the file grows again. */
  cut(chunk: number, within: number, segment: number): void {
    this.#forgetChunks(within === 0 ? chunk : chunk + 1, Infinity)
    const edge = this.#chunks.get(chunk)
    if (edge !== undefined && within > 0) {
      edge.pieces = edge.pieces.filter((piece) => piece.from < within)
      for (const piece of edge.pieces) piece.to = Math.min(piece.to, within)
    }
    this.#cuts = this.#cuts.filter((cut) => isBefore(cut.chunk, cut.within, chunk, within))
    if (!this.#cuts.some((cut) => cut.segment === segment)) this.#cuts.push({ segment, chunk, within })
  }

  /** Pieces of a chunk in offset order; undefined when nothing was written over it. */
  pieces(chunk: number): readonly Extent[] | undefined {
    return this.#chunks.get(chunk)?.pieces
  }

  /** How many of the chunk's committed bytes still show beneath the pieces: 0 (all zero) to 65,536. */
  committedBytes(chunk: number): number {
    const overlay = this.#chunks.get(chunk)
    if (overlay === undefined ? this.#inZeroRange(chunk) !== 0 : overlay.zeroed !== 0) return 0
    return this.#validBytes(chunk)
  }

  /** The first chunk at or after `from` whose committed bytes a cut or a zeroed range hides whole, else Infinity. */
  nextHidden(from: number): number {
    let next = Infinity
    for (const cut of this.#cuts) next = Math.min(next, Math.max(from, cut.within > 0 ? cut.chunk + 1 : cut.chunk))
    for (const range of this.#zeroRanges) if (range.end > from) next = Math.min(next, Math.max(from, range.first))
    return next
  }

  /** The lowest cut: committed chunks beyond it are gone. Null when nothing was cut. */
  lowestCut(): { chunk: number; within: number } | null {
    let lowest: Cut | null = null
    for (const cut of this.#cuts) {
      if (lowest === null || isBefore(cut.chunk, cut.within, lowest.chunk, lowest.within)) lowest = cut
    }
    return lowest
  }

  /** Drops what segments up to `segment` wrote: the committed data holds it now. */
  retire(segment: number): void {
    this.#cuts = this.#cuts.filter((cut) => cut.segment > segment)
    this.#zeroRanges = this.#zeroRanges.filter((range) => range.segment > segment)
    for (const [chunk, overlay] of this.#chunks) {
      if (overlay.zeroed <= segment) overlay.zeroed = 0
      overlay.pieces = overlay.pieces.filter((piece) => piece.segment > segment)
      this.#sorted = null
      if (overlay.pieces.length === 0 && overlay.zeroed === 0) this.#chunks.delete(chunk)
    }
  }

  #validBytes(chunk: number): number {
    let valid = chunkBytes
    for (const cut of this.#cuts) {
      if (chunk > cut.chunk) return 0
      if (chunk === cut.chunk) valid = Math.min(valid, cut.within)
    }
    return valid
  }

  #inZeroRange(chunk: number): number {
    let segment = 0
    for (const range of this.#zeroRanges) {
      if (chunk >= range.first && chunk < range.end) segment = Math.max(segment, range.segment)
    }
    return segment
  }

  /** Small ranges are noted per chunk, so that a guest's discards do not make every read search a list. */
  #zeroChunks(first: number, end: number, segment: number): void {
    this.#sorted = null
    if (end - first <= zeroRangeChunksMin) {
      for (let chunk = first; chunk < end; chunk += 1) this.#chunks.set(chunk, { zeroed: segment, pieces: [] })
      return
    }
    this.#forgetChunks(first, end)
    const last = this.#zeroRanges.at(-1)
    if (last !== undefined && last.segment === segment && last.end === first) last.end = end
    else this.#zeroRanges.push({ segment, first, end })
  }

  #forgetChunks(first: number, end: number): void {
    this.#sorted = null
    if (end - first <= this.#chunks.size) {
      for (let chunk = first; chunk < end; chunk += 1) this.#chunks.delete(chunk)
      return
    }
    for (const chunk of this.#chunks.keys()) if (chunk >= first && chunk < end) this.#chunks.delete(chunk)
  }

  #lay(chunk: number, added: Extent): void {
    const overlay = this.#chunks.get(chunk)
    if (overlay === undefined) {
      this.#sorted = null
      this.#chunks.set(chunk, { zeroed: this.#inZeroRange(chunk), pieces: [added] })
      return
    }
    const { pieces } = overlay
    const last = pieces[pieces.length - 1]
    if (last === undefined || last.to <= added.from) {
      pieces.push(added)
      return
    }
    overlay.pieces = spliced(pieces, added)
  }
}

/** The pieces with `added` over them: what it covers is cut away, split where it lies in the middle. */
function spliced(pieces: readonly Extent[], added: Extent): Extent[] {
  const result: Extent[] = []
  let placed = false
  for (const piece of pieces) {
    if (piece.from < added.from) result.push(part(piece, piece.from, Math.min(piece.to, added.from)))
    if (!placed && piece.to > added.from) {
      result.push(added)
      placed = true
    }
    if (piece.to > added.to) result.push(part(piece, Math.max(piece.from, added.to), piece.to))
  }
  if (!placed) result.push(added)
  return result
}

function part(piece: Extent, from: number, to: number): Extent {
  if (from === piece.from && to === piece.to) return piece
  const position = piece.position < 0 ? -1 : piece.position + from - piece.from
  return { from, to, segment: piece.segment, position }
}

function isBefore(chunk: number, within: number, otherChunk: number, otherWithin: number): boolean {
  return chunk < otherChunk || (chunk === otherChunk && within < otherWithin)
}

function lowerBound(sorted: Float64Array, from: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle] < from) low = middle + 1
    else high = middle
  }
  return low
}
