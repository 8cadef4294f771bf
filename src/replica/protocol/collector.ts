/**
 * The collector's half of `collection.ts`: how records and packs that a plan names leave a replica. Any number of
 * collectors may run at once, also one that slept since yesterday: only the work is done twice. What a plan names is
 * a guess; a pack goes only if no intent and no record names it.
 *
 *   collect -> remove records, intents -> list condemned, deleting -> condemn each -> list intents, then records
 *     -> rescue what they name -> list sweeps, make one -> each: condemned to deleting, remove the pack, the marker
 *     -> remove older sweeps
 *
 * Markers that an earlier collector left are taken over as they are: their names are never used again, so one that is
 * still there was there all the time.
 */
import { type CollectionReply, type Place, markerOf, packOfMarker } from './collection.ts'

/** What may go. */
export interface CollectionPlan {
  readonly records: readonly string[]
  /** Of writers that are thought to be dead: if one is not, it begins again. */
  readonly intents: readonly string[]
  readonly packs: readonly string[]
}

export type CollectorAction =
  | { readonly type: 'list'; readonly place: Exclude<Place, 'packs'> }
  /** An empty object of that name. */
  | { readonly type: 'make'; readonly place: 'condemned' | 'sweeps'; readonly name: string }
  | { readonly type: 'remove'; readonly place: Place; readonly name: string }
  /** From condemned to deleting. */
  | { readonly type: 'sentence'; readonly marker: string }

export type CollectorEvent =
  | { readonly type: 'collect'; readonly plan: CollectionPlan }
  | { readonly type: 'reply'; readonly reply: CollectionReply }

export type CollectorPhase =
  | 'idle' | 'records' | 'intents' | 'condemned' | 'deleting' | 'condemning' | 'naming intents' | 'naming records'
  | 'rescuing' | 'sweeps' | 'announcing' | 'sentencing' | 'removing' | 'clearing' | 'pruning'

export interface CollectorState {
  readonly phase: CollectorPhase
  /** This process of this node, never used again. */
  readonly self: string
  readonly count: number
  /** What is still to be removed, or condemned, in the present phase. */
  readonly plan: CollectionPlan
  /** Markers in condemned, ours and others'. */
  readonly markers: readonly string[]
  readonly rescued: readonly string[]
  /** Markers in deleting whose packs are still to be removed. */
  readonly sentenced: readonly string[]
  readonly named: readonly string[]
  /** Sweeps that were there before ours. */
  readonly sweeps: readonly string[]
}

export interface CollectorStep {
  readonly state: CollectorState
  /** To be carried out; its reply is the next event. Null: all is done. */
  readonly action: CollectorAction | null
}

const nothing: CollectionPlan = { records: [], intents: [], packs: [] }

export function beginCollector(self: string): CollectorState {
  return {
    phase: 'idle', self, count: 0, plan: nothing, markers: [], rescued: [], sentenced: [], named: [], sweeps: [],
  }
}

/** Events that do not fit the phase change nothing. */
export function stepCollector(state: CollectorState, event: CollectorEvent): CollectorStep {
  if (event.type === 'collect') {
    if (state.phase !== 'idle') return { state, action: null }
    return go({ ...beginCollector(state.self), count: state.count, phase: 'records', plan: event.plan })
  }
  return state.phase === 'idle' ? { state, action: null } : go(after(state, event.reply))
}

/** What a collector in this state waits for the answer of. */
export function collectorAction(state: CollectorState): CollectorAction | null {
  const { phase, plan, self, count } = state
  switch (phase) {
    case 'idle': return null
    case 'records':
    case 'intents': return { type: 'remove', place: phase, name: plan[phase][0] }
    case 'condemned':
    case 'deleting':
    case 'sweeps': return { type: 'list', place: phase }
    case 'condemning': return { type: 'make', place: 'condemned', name: markerOf(plan.packs[0], self, count) }
    case 'naming intents': return { type: 'list', place: 'intents' }
    case 'naming records': return { type: 'list', place: 'records' }
    case 'rescuing': return { type: 'remove', place: 'condemned', name: state.rescued[0] }
    case 'announcing': return { type: 'make', place: 'sweeps', name: `${self}.${count}` }
    case 'sentencing': return { type: 'sentence', marker: state.markers[0] }
    case 'removing': return { type: 'remove', place: 'packs', name: packOfMarker(state.sentenced[0]) }
    case 'clearing': return { type: 'remove', place: 'deleting', name: state.sentenced[0] }
    case 'pruning': return { type: 'remove', place: 'sweeps', name: state.sweeps[0] }
  }
}

function after(state: CollectorState, reply: CollectionReply): CollectorState {
  const { phase, plan, markers, sentenced } = state
  const [first, ...rest] = markers
  const names = reply.type === 'listed' ? reply.names : null
  const isDone = reply.type === 'done'
  switch (phase) {
    case 'records': return isDone ? { ...state, plan: { ...plan, records: plan.records.slice(1) } } : state
    case 'intents': return isDone ? { ...state, plan: { ...plan, intents: plan.intents.slice(1) } } : state
    case 'condemned': return names === null ? state : { ...state, phase: 'deleting', markers: names }
    case 'deleting': return names === null ? state : adopted({ ...state, phase: 'condemning', sentenced: names })
    case 'condemning': return condemned(state, isDone)
    case 'naming intents': return names === null ? state : { ...state, phase: 'naming records', named: names }
    case 'naming records': return names === null ? state : judged(state, [...state.named, ...names])
    case 'rescuing': return isDone ? { ...state, rescued: state.rescued.slice(1) } : state
    case 'sweeps': return names === null ? state : { ...state, phase: 'announcing', sweeps: names }
    case 'announcing': return { ...state, count: state.count + 1, phase: isDone ? 'sentencing' : phase }
    case 'sentencing':
      if (reply.type === 'gone') return { ...state, markers: rest } // another collector rescued or finished it
      return isDone ? { ...state, markers: rest, sentenced: [...sentenced, first] } : state
    case 'removing': return isDone ? { ...state, phase: 'clearing' } : state
    case 'clearing': return isDone ? { ...state, phase: 'removing', sentenced: sentenced.slice(1) } : state
    case 'pruning': return isDone ? { ...state, sweeps: state.sweeps.slice(1) } : state
    case 'idle': return state
  }
}

/** What has a marker needs no other one. */
function adopted(state: CollectorState): CollectorState {
  const marked = new Set([...state.markers, ...state.sentenced].map(packOfMarker))
  return { ...state, plan: { ...state.plan, packs: state.plan.packs.filter((pack) => !marked.has(pack)) } }
}

/** A marker whose making is unclear may come late, even after it was taken away: its name is not used. */
function condemned(state: CollectorState, isDone: boolean): CollectorState {
  const { plan, self, count, markers } = state
  if (!isDone) return { ...state, count: count + 1 }
  const [pack, ...packs] = plan.packs
  return { ...state, count: count + 1, plan: { ...plan, packs }, markers: [...markers, markerOf(pack, self, count)] }
}

function judged(state: CollectorState, packs: readonly string[]): CollectorState {
  const named = new Set(packs)
  const isNamed = (marker: string): boolean => named.has(packOfMarker(marker))
  const markers = state.markers.filter((marker) => !isNamed(marker))
  return { ...state, phase: 'rescuing', rescued: state.markers.filter(isNamed), markers, named: [] }
}

/** Goes past phases that have nothing to do. */
function go(state: CollectorState): CollectorStep {
  const next = phaseBehind(state)
  return next === null ? { state, action: collectorAction(state) } : go({ ...state, phase: next })
}

function phaseBehind({ phase, plan, markers, rescued, sentenced, sweeps }: CollectorState): CollectorPhase | null {
  switch (phase) {
    case 'records': return plan.records.length === 0 ? 'intents' : null
    case 'intents': return plan.intents.length === 0 ? 'condemned' : null
    case 'condemning': return plan.packs.length > 0 ? null : markers.length > 0 ? 'naming intents' : 'removing'
    case 'rescuing': return rescued.length > 0 ? null : markers.length > 0 ? 'sweeps' : 'removing'
    case 'sentencing': return markers.length === 0 ? 'removing' : null
    case 'removing': return sentenced.length === 0 ? 'pruning' : null
    case 'pruning': return sweeps.length === 0 ? 'idle' : null
    default: return null
  }
}
