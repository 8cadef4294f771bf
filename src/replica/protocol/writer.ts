/**
 * The writer's half of `collection.ts`: how the records of one batch are published so that no collector takes a pack
 * away that they name. Its owner has opened a generation (`owner.ts`) and uploaded, and had confirmed, every pack
 * that the records name and the replica did not have.
 *
 *   publish -> intend each -> list condemned, deleting, sweeps -> look for packs -> publish each -> published
 *                 ^                                                  | some are listed or gone
 *                 +---------- replace them under new names <---------+
 *
 * The order of the three listings matters: a marker goes from condemned to deleting to nothing, and a sweep is made
 * before its first marker leaves condemned. What was there at one batch need not be looked for at the next one as
 * long as no sweep was made since: a sweep that was seen then either showed its markers or had seen our intent.
 */
import { type CollectionReply, packOfMarker } from './collection.ts'

/** A record that is to be published: its name in the generation and all packs that a reader of it may need. */
export interface PublishedRecord {
  readonly record: string
  readonly packs: readonly string[]
}

export type WriterAction =
  /** Makes `intents/INTENT`: the finished record, in which the packs can be read. */
  | { readonly type: 'intend'; readonly intent: string; readonly record: string; readonly packs: readonly string[] }
  | { readonly type: 'list'; readonly place: 'condemned' | 'deleting' | 'sweeps' }
  /** Which of these packs are not there. */
  | { readonly type: 'miss'; readonly packs: readonly string[] }
  /** Uploads what these packs hold again, under names that have `attempt` in them. */
  | { readonly type: 'replace'; readonly packs: readonly string[]; readonly attempt: string }
  /** Takes an intent of our own away. */
  | { readonly type: 'drop'; readonly intent: string }
  /** Renames the intent to the record, in the open part of the generation. */
  | { readonly type: 'publish'; readonly intent: string; readonly record: string }

export type WriterEvent =
  | { readonly type: 'publish'; readonly records: readonly PublishedRecord[] }
  | { readonly type: 'reply'; readonly reply: CollectionReply }

export type WriterPhase =
  | 'idle' | 'intending' | 'condemned' | 'deleting' | 'sweeps' | 'missing' | 'replacing' | 'dropping' | 'publishing'
  /** The generation was closed: what is not published belongs to a fork. */
  | 'fenced'

/** What was found there while no sweep but these had been made. */
interface Known {
  readonly sweeps: string
  readonly packs: readonly string[]
}

export interface WriterState {
  readonly phase: WriterPhase
  /** This process of this node, never used again. */
  readonly self: string
  /** Names given so far. */
  readonly count: number
  /** Not yet published, in order; with their intents as far as these are made. */
  readonly records: readonly PublishedRecord[]
  readonly intents: readonly string[]
  /** Packs of the whole batch. */
  readonly packs: readonly string[]
  /** Packs that may not be relied on. */
  readonly lost: readonly string[]
  readonly sweeps: string
  readonly known: Known | null
  /** Intents of ours that are to be taken away before the next step. */
  readonly dropped: readonly string[]
  readonly isFenced: boolean
}

export interface WriterStep {
  readonly state: WriterState
  /** To be carried out; its reply is the next event. Null: the batch is published, or fenced. */
  readonly action: WriterAction | null
  /** This record is published, for good. */
  readonly published: string | null
}

export function beginWriter(self: string): WriterState {
  return {
    phase: 'idle', self, count: 0, records: [], intents: [], packs: [], lost: [], sweeps: '', known: null, dropped: [],
    isFenced: false,
  }
}

/** Events that do not fit the phase change nothing. An empty batch is none. */
export function stepWriter(state: WriterState, event: WriterEvent): WriterStep {
  if (event.type === 'publish') {
    return state.phase === 'idle' && event.records.length > 0 ? start(state, event.records) : stay(state)
  }
  const { reply } = event
  switch (state.phase) {
    case 'intending': return intended(state, reply)
    case 'condemned': return listed(state, reply, 'deleting')
    case 'deleting': return listed(state, reply, 'sweeps')
    case 'sweeps': return reply.type === 'listed' ? sweepsListed(state, reply.names) : go(state)
    case 'missing': return reply.type === 'listed' ? judged(state, reply.names) : go(state)
    case 'replacing': return replaced(state, reply)
    case 'dropping': return dropped({ ...state, dropped: state.dropped.slice(1) })
    case 'publishing': return published(state, reply)
    default: return stay(state)
  }
}

/** What a writer in this state waits for the answer of. */
export function writerAction(state: WriterState): WriterAction | null {
  const { phase, records, intents } = state
  switch (phase) {
    case 'intending': {
      const { record, packs } = records[intents.length]
      return { type: 'intend', intent: `${state.self}.${state.count}`, record, packs }
    }
    case 'condemned':
    case 'deleting':
    case 'sweeps': return { type: 'list', place: phase }
    case 'missing': return { type: 'miss', packs: toLookFor(state) }
    case 'replacing': return { type: 'replace', packs: state.lost, attempt: `${state.self}.${state.count}` }
    case 'dropping': return { type: 'drop', intent: state.dropped[0] }
    case 'publishing': return { type: 'publish', intent: intents[0], record: records[0].record }
    default: return null
  }
}

function start(state: WriterState, records: readonly PublishedRecord[]): WriterStep {
  return go({ ...state, phase: 'intending', records, packs: packsOf(records), intents: [], lost: [], dropped: [] })
}

/** Anything but a plain success leaves it open whether the intent comes yet: another name is tried. */
function intended(state: WriterState, reply: CollectionReply): WriterStep {
  const count = state.count + 1
  if (reply.type !== 'done') return go({ ...state, count })
  const intents = [...state.intents, `${state.self}.${state.count}`]
  const phase = intents.length < state.records.length ? 'intending' : 'condemned'
  return go({ ...state, count, intents, phase })
}

function listed(state: WriterState, reply: CollectionReply, phase: WriterPhase): WriterStep {
  if (reply.type !== 'listed') return go(state)
  const marked = new Set(reply.names.map(packOfMarker))
  return go({ ...state, phase, lost: union([...state.lost, ...state.packs.filter((pack) => marked.has(pack))]) })
}

function sweepsListed(state: WriterState, names: readonly string[]): WriterStep {
  const seen = { ...state, sweeps: names.toSorted().join() }
  return toLookFor(seen).length === 0 ? judged(seen, []) : go({ ...seen, phase: 'missing' })
}

function toLookFor({ packs, lost, known, sweeps }: WriterState): readonly string[] {
  const sure = new Set([...lost, ...(known !== null && known.sweeps === sweeps ? known.packs : [])])
  return packs.filter((pack) => !sure.has(pack))
}

function judged(state: WriterState, missing: readonly string[]): WriterStep {
  const lost = union([...state.lost, ...missing])
  return go({ ...state, lost, phase: lost.length === 0 ? 'publishing' : 'replacing' })
}

/** An upload whose answer is lost may come late, even after a collector removed it: its name is not used. */
function replaced(state: WriterState, reply: CollectionReply): WriterStep {
  const count = state.count + 1
  if (reply.type !== 'replaced') return go({ ...state, count })
  const records = state.records.map(({ record, packs }) => {
    return { record, packs: union(packs.flatMap((pack) => reply.names[pack] ?? [pack])) }
  })
  return again({ ...state, count, records }, state.intents)
}

function published(state: WriterState, reply: CollectionReply): WriterStep {
  const [intent, ...intents] = state.intents
  if (reply.type === 'unclear') return go(state)
  if (reply.type === 'fenced') return again({ ...state, isFenced: true }, [intent, ...intents])
  // A collector took us for dead: what we found there was not held by our intent until now.
  if (reply.type === 'gone') return again({ ...state, known: null }, intents)
  const [{ record }, ...records] = state.records
  if (records.length > 0) return { ...go({ ...state, records, intents }), published: record }
  const known = { sweeps: state.sweeps, packs: state.packs }
  return { ...go({ ...state, phase: 'idle', records, intents, known }), published: record }
}

/** From the intents on, once these are taken away. */
function again(state: WriterState, intents: readonly string[]): WriterStep {
  return dropped({ ...state, packs: packsOf(state.records), lost: [], intents: [], dropped: intents })
}

/** One try for each: an intent that stays holds packs until a collector takes it for a dead writer's. */
function dropped(state: WriterState): WriterStep {
  if (state.dropped.length > 0) return go({ ...state, phase: 'dropping' })
  return go({ ...state, phase: state.isFenced ? 'fenced' : 'intending' })
}

function packsOf(records: readonly PublishedRecord[]): readonly string[] {
  return union(records.flatMap((each) => each.packs))
}

function union(names: readonly string[]): readonly string[] {
  return [...new Set(names)]
}

function go(state: WriterState): WriterStep {
  return { state, action: writerAction(state), published: null }
}

function stay(state: WriterState): WriterStep {
  return { state, action: null, published: null }
}
