/**
 * How packs leave a replica that several nodes write, with nobody waiting for anybody and no clock: the words that
 * the writer (`writer.ts`) and the collector (`collector.ts`) share. Both are pure functions; a runner carries their
 * actions out, one at a time, and brings back what came of each. The model checker of the tests runs the same code
 * through all interleavings, lost answers, late requests and deaths of two writers and two collectors.
 *
 *   intents/NAME      a finished record, not yet published; whoever lists it sees the packs that it names
 *   condemned/MARKER  a pack that a collector wants to remove; MARKER is PACK@COLLECTOR.NUMBER
 *   deleting/MARKER   the same marker, renamed: the pack counts as gone from that moment, for ever
 *   sweeps/NAME       made by a collector when it knows what it will remove, and before it removes any of it
 *
 * The writer makes its intent *before* it looks at the markers; the collector makes its markers *before* it lists
 * intents, then records. So one of the two sees the other. A writer that finds a pack listed or gone uploads it again
 * under a new name; a collector that finds a pack named takes its marker away. Publication renames the intent, so
 * that removing a dead writer's intent makes its publication fail.
 *
 * Every name is given to one object once, and is tried once: a creation whose answer is lost is tried again under
 * another name, as the first may yet happen, even after the object was taken away again.
 */

/** The directories that writers and collectors list, and what is listed of the others. */
export type Place = 'intents' | 'records' | 'condemned' | 'deleting' | 'sweeps' | 'packs'

export type CollectionReply =
  | { readonly type: 'done' } // made, moved, removed; or it was so already
  | { readonly type: 'exists' } // what was to be made or published is there: an earlier try of ours did it
  | { readonly type: 'gone' } // what was to be moved or published is not there
  | { readonly type: 'fenced' } // publish: the generation is closed
  | { readonly type: 'listed'; readonly names: readonly string[] } // of intents and records: the packs that they name
  | { readonly type: 'replaced'; readonly names: Readonly<Record<string, readonly string[]>> } // old pack: new ones
  | { readonly type: 'unclear' } // the answer was lost, or the replica cannot be reached

const separator = '@'

/** A marker's name. `owner` and `number` make it unique: it is never made a second time. */
export function markerOf(pack: string, owner: string, number: number): string {
  return `${pack}${separator}${owner}.${number}`
}

export function packOfMarker(marker: string): string {
  return marker.slice(0, marker.lastIndexOf(separator))
}
