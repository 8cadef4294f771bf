/**
 * Who may write: the steps by which one node takes an image over, publishes its epochs and learns that it has been
 * replaced, as a pure function. A runner carries the actions out on a replica, one at a time, and brings back what
 * came of each; the model checker of the tests runs this same function through all interleavings, lost answers,
 * late requests and crashes.
 *
 * The rules: an epoch's output is released only after its publication was confirmed. A generation's list counts only
 * after the generation was closed. The next generation is opened by one node only, and on that list. What is unclear
 * is asked again, and nothing is released meanwhile.
 *
 * A node that starts again is the same owner, if it kept who it is before it first asked for a generation: it looks
 * whether the generation is still its own and publishes on, also what it may have published before. Nobody else may
 * be that owner: a store's lock sees to it, and a copy of a store is found by records that differ.
 */

/** What a node wants from a replica: see `Replica` for the calls behind it. */
export type Action =
  | { readonly type: 'close'; readonly generation: number }
  | { readonly type: 'list'; readonly generation: number }
  | { readonly type: 'open'; readonly generation: number; readonly owner: string; readonly basis: readonly string[] }
  | { readonly type: 'readOwner'; readonly generation: number }
  | { readonly type: 'publish'; readonly generation: number; readonly epoch: string }

/** Output that waits for this epoch may leave; no answer comes back. */
export interface Release {
  readonly type: 'release'
  readonly generation: number
  readonly epoch: string
}

export type Reply =
  | { readonly type: 'done' } // closed (by whomever), opened, published
  | { readonly type: 'exists' } // open, publish: the name is taken
  | { readonly type: 'gone' } // publish: the generation is closed. close: it was never opened
  | { readonly type: 'listed'; readonly epochs: readonly string[] }
  | { readonly type: 'owner'; readonly owner: string }
  | { readonly type: 'unclear' } // the answer was lost, or the replica cannot be reached

export type OwnerEvent =
  | { readonly type: 'takeOver'; readonly from: number } // the newest generation known; 0: there is none
  | { readonly type: 'rejoin'; readonly generation: number } // that it opened, or asked for, before it started again
  | { readonly type: 'seal'; readonly epoch: string } // there is an epoch to publish
  | { readonly type: 'reply'; readonly reply: Reply }

/** idle: owns nothing. fenced: owned a generation and was replaced; its later epochs belong to a fork. */
export type Phase = 'idle' | 'closing' | 'listing' | 'opening' | 'asking' | 'owning' | 'publishing' | 'fenced'

export interface OwnerState {
  readonly phase: Phase
  /** This owner, never used again for another generation chain: how it knows what is its own. */
  readonly self: string
  /** That is being taken over, opened or owned. */
  readonly generation: number
  /** Epochs that the generation before has left. */
  readonly basis: readonly string[]
  /** What is being published. */
  readonly epoch: string
}

export interface Step {
  readonly state: OwnerState
  /** To be carried out; its reply is the next event of this node but `seal`s, which wait. */
  readonly action: Action | null
  readonly release: Release | null
}

export function begin(self: string): OwnerState {
  return { phase: 'idle', self, generation: 0, basis: [], epoch: '' }
}

/** Events that do not fit the phase change nothing. */
export function step(state: OwnerState, event: OwnerEvent): Step {
  if (event.type === 'takeOver') return state.phase === 'idle' ? takeOver(state, event.from) : stay(state)
  if (event.type === 'rejoin') return state.phase === 'idle' ? rejoin(state, event.generation) : stay(state)
  if (event.type === 'seal') return state.phase === 'owning' ? publish(state, event.epoch) : stay(state)
  const { reply } = event
  if (reply.type === 'unclear') return { state, action: pendingAction(state), release: null }
  switch (state.phase) {
    case 'closing':
      return reply.type === 'done' ? go({ ...state, phase: 'listing' }) : go({ ...state, phase: 'idle' })
    case 'listing':
      return reply.type === 'listed' ? open(state, reply.epochs) : stay(state)
    case 'opening':
      return go({ ...state, phase: reply.type === 'done' ? 'owning' : 'asking' })
    case 'asking':
      return go({ ...state, phase: reply.type === 'owner' && reply.owner === state.self ? 'owning' : 'idle' })
    case 'publishing':
      return published(state, reply)
    default:
      return stay(state)
  }
}

/** What a node in this state waits for the answer of: it can always be asked again. */
export function pendingAction(state: OwnerState): Action | null {
  const { phase, generation, self, basis, epoch } = state
  switch (phase) {
    case 'closing': return { type: 'close', generation }
    case 'listing': return { type: 'list', generation }
    case 'opening': return { type: 'open', generation, owner: self, basis }
    case 'asking': return { type: 'readOwner', generation }
    case 'publishing': return { type: 'publish', generation, epoch }
    default: return null
  }
}

function takeOver(state: OwnerState, from: number): Step {
  return from === 0 ? open({ ...state, generation: 0 }, []) : go({ ...state, phase: 'closing', generation: from })
}

function open(state: OwnerState, basis: readonly string[]): Step {
  return go({ ...state, phase: 'opening', generation: state.generation + 1, basis, epoch: '' })
}

function rejoin(state: OwnerState, generation: number): Step {
  return go({ ...state, phase: 'asking', generation, basis: [], epoch: '' })
}

function publish(state: OwnerState, epoch: string): Step {
  return go({ ...state, phase: 'publishing', epoch })
}

/** A generation has one owner, so a name that is taken is our own publication whose answer was lost. */
function published(state: OwnerState, reply: Reply): Step {
  if (reply.type === 'gone') return go({ ...state, phase: 'fenced' })
  const release: Release = { type: 'release', generation: state.generation, epoch: state.epoch }
  return { ...go({ ...state, phase: 'owning' }), release }
}

function go(state: OwnerState): Step {
  return { state, action: pendingAction(state), release: null }
}

function stay(state: OwnerState): Step {
  return { state, action: null, release: null }
}
