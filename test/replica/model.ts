/**
 * A model of a replica and of nodes that fight for one image, and a search through everything that can happen:
 * every interleaving (a pause is an interleaving), answers that are lost, requests that are carried out long after
 * their answer was given up, and crashes. Broken worlds and broken nodes show that the search finds what is wrong.
 */
import { type Action, type OwnerState, type Reply, type Step, begin, step } from '../../src/replica/protocol/owner.ts'
import { pathTo } from './trace.ts'

export interface World {
  /** By number, from 1. */
  readonly generations: readonly Generation[]
  readonly nodes: readonly Node[]
  /** Requests that are still on their way, their answers given up. */
  readonly late: readonly Action[]
  /** What has been released: GENERATION EPOCH. */
  readonly released: readonly string[]
  readonly budget: Budget
}

interface Generation {
  readonly owner: string
  /** What its owner built on. */
  readonly basis: readonly string[]
  readonly epochs: readonly string[]
  readonly isClosed: boolean
  /** Two who own it. */
  readonly isTwice: boolean
  /** Something was published after it was closed. */
  readonly isTorn: boolean
}

interface Node {
  readonly state: OwnerState
  readonly action: Action | null
  /** Sealed on its disk: epochs are named by their number, and published in their order. */
  readonly sealed: number
  readonly published: number
  /** Kept on its disk before it asks for a generation: which one it asked for last, 0 for none. */
  readonly kept: number
}

export interface Budget {
  readonly takeOvers: number
  readonly seals: number
  readonly losses: number
  readonly crashes: number
}

/** What is done wrong on purpose. */
export type Flaw =
  | 'none'
  | 'closing frees the name' // the directory of the generation itself is renamed
  | 'publishing makes the directory' // as CREATE does
  | 'releasing on unclear' // a lost answer is taken for a good one
  | 'listing before closing'
  | 'opening is no choice' // as MKDIRS: who comes second is not told

export interface Found {
  readonly stateCount: number
  readonly endCount: number
  /** What is wrong, with the shortest way there; null when nothing is. */
  readonly fault: { readonly what: string; readonly path: readonly string[] } | null
}

export function explore(nodeCount: number, budget: Budget, flaw: Flaw): Found {
  const nodes = Array.from({ length: nodeCount }, (_, at) => fresh(`n${at}`))
  const first: World = { generations: [], nodes, late: [], released: [], budget }
  const seen = new Map<string, { from: string; what: string }>([[keyOf(first), { from: '', what: 'start' }]])
  let frontier = [first]
  let endCount = 0
  while (frontier.length > 0) {
    const next: World[] = []
    for (const world of frontier) {
      const what = wrongIn(world)
      if (what !== null) return { stateCount: seen.size, endCount, fault: { what, path: pathTo(seen, keyOf(world)) } }
      const moves = movesOf(world, flaw)
      if (moves.length === 0) endCount++
      for (const { name, after } of moves) {
        const key = keyOf(after)
        if (seen.has(key)) continue
        seen.set(key, { from: keyOf(world), what: name })
        next.push(after)
      }
    }
    frontier = next
  }
  return { stateCount: seen.size, endCount, fault: null }
}

function fresh(self: string): Node {
  return { state: begin(self), action: null, sealed: 0, published: 0, kept: 0 }
}

/** The obligations. */
function wrongIn({ generations, released }: World): string | null {
  for (const [at, { basis, isTwice, isTorn }] of generations.entries()) {
    if (isTwice) return `generation ${at + 1} has two owners`
    if (isTorn) return `something was published in generation ${at + 1} after it was closed`
    const before = released.filter((each) => each.startsWith(`${at} `)).map((each) => each.split(' ')[1])
    const lost = before.find((epoch) => !basis.includes(epoch))
    if (lost !== undefined) return `generation ${at + 1} was opened without ${lost}, which had been released`
    const own = released.filter((each) => each.startsWith(`${at + 1} `)).map((each) => each.split(' ')[1])
    const unpublished = own.find((epoch) => !generations[at].epochs.includes(epoch))
    if (unpublished !== undefined) return `${unpublished} was released and is not in generation ${at + 1}`
  }
  return null
}

interface Move {
  readonly name: string
  readonly after: World
}

function movesOf(world: World, flaw: Flaw): Move[] {
  return [
    ...world.nodes.flatMap((node, at) => (node.action === null ? freeMoves(world, at, flaw) : requestMoves(world, at, node.action, flaw))),
    ...world.nodes.flatMap((_, at) => crash(world, at)),
    ...world.late.map((action, at) => ({
      name: `late ${action.type} ${action.generation}`,
      after: { ...execute(world, action, flaw).world, late: world.late.toSpliced(at, 1) },
    })),
  ]
}

/** What a node without a request may be told: also to take over from a generation that is not the newest any more. */
function freeMoves(world: World, at: number, flaw: Flaw): Move[] {
  const { budget, nodes } = world
  const { phase } = nodes[at].state
  const moves: Move[] = []
  if (phase === 'idle' && budget.takeOvers > 0) {
    for (let from = 0; from <= world.generations.length; from++) {
      const spent = { ...world, budget: { ...budget, takeOvers: budget.takeOvers - 1 } }
      const taken = step(nodes[at].state, { type: 'takeOver', from })
      moves.push({ name: `n${at} takes over ${from}`, after: apply(spent, at, hurried(taken, flaw)) })
    }
  }
  if (phase === 'idle' && nodes[at].kept > 0) {
    const rejoined = step(nodes[at].state, { type: 'rejoin', generation: nodes[at].kept })
    moves.push({ name: `n${at} rejoins`, after: apply(world, at, rejoined) })
  }
  if (phase === 'owning' && (budget.seals > 0 || nodes[at].published < nodes[at].sealed)) moves.push(seal(world, at))
  return moves
}

/** The next epoch that is not known to be published; what was sealed before a crash comes first. */
function seal(world: World, at: number): Move {
  const { budget, nodes } = world
  const node = nodes[at]
  const isNew = node.published === node.sealed
  const sealed = isNew ? { ...node, sealed: node.sealed + 1 } : node
  const spent = isNew ? { ...world, budget: { ...budget, seals: budget.seals - 1 } } : world
  const { self, generation } = node.state
  const event = { type: 'seal', epoch: `${self}:${generation}.${node.published + 1}` } as const
  return { name: `n${at} seals`, after: apply({ ...spent, nodes: nodes.with(at, sealed) }, at, step(node.state, event)) }
}

/** The request is carried out and answered; or the answer is lost; or the request is; or it comes late. */
function requestMoves(world: World, at: number, action: Action, flaw: Flaw): Move[] {
  const name = `n${at} ${action.type} ${action.generation}`
  const done = execute(world, action, flaw)
  const moves = [{ name, after: answered(done.world, at, done.reply, flaw) }]
  if (world.budget.losses === 0) return moves
  const spent = { ...world, budget: { ...world.budget, losses: world.budget.losses - 1 } }
  const unclear: Reply = { type: 'unclear' }
  moves.push({ name: `${name}, answer lost`, after: answered(execute(spent, action, flaw).world, at, unclear, flaw) })
  moves.push({ name: `${name}, lost`, after: answered(spent, at, unclear, flaw) })
  moves.push({ name: `${name}, delayed`, after: answered({ ...spent, late: [...spent.late, action] }, at, unclear, flaw) })
  return moves
}

/** The process is gone, its request may still come. A new one begins: of another node, or with what was kept. */
function crash(world: World, at: number): Move[] {
  const { budget, nodes } = world
  if (budget.crashes === 0 || nodes[at].state.phase === 'idle') return []
  const { state, action, sealed, kept } = nodes[at]
  const late = action === null ? world.late : [...world.late, action]
  const spent = { ...world, late, budget: { ...budget, crashes: budget.crashes - 1 } }
  const after = (node: Node): World => ({ ...spent, nodes: nodes.with(at, node) })
  const moves = [{ name: `n${at} crashes`, after: after(fresh(`${state.self}'`)) }]
  if (kept > 0) {
    moves.push({ name: `n${at} starts again`, after: after({ ...fresh(state.self), sealed, kept }) })
  }
  return moves
}

function answered(world: World, at: number, reply: Reply, flaw: Flaw): World {
  const { state } = world.nodes[at]
  const believed: Reply = flaw === 'releasing on unclear' && reply.type === 'unclear' && state.phase === 'publishing' ? { type: 'done' } : reply
  return apply(world, at, step(state, { type: 'reply', reply: believed }))
}

function apply(world: World, at: number, { state, action, release }: Step): World {
  const all = release === null ? world.released : [...world.released, `${release.generation} ${release.epoch}`].toSorted()
  const released = all.filter((each, index) => each !== all[index - 1])
  const node = world.nodes[at]
  const published = release === null ? node.published : node.published + 1
  const kept = action?.type === 'open' ? action.generation : node.kept
  return { ...world, nodes: world.nodes.with(at, { ...node, state, action, published, kept }), released }
}

/** A node that does not wait for the closing before it lists; it closes when it opens. */
function hurried(taken: Step, flaw: Flaw): Step {
  if (flaw !== 'listing before closing' || taken.state.phase !== 'closing') return taken
  return step(taken.state, { type: 'reply', reply: { type: 'done' } })
}

function execute(world: World, action: Action, flaw: Flaw): { world: World; reply: Reply } {
  const at = action.generation - 1
  const there = world.generations[at] as Generation | undefined
  const changed = (generation: Generation): World => ({ ...world, generations: world.generations.with(at, generation) })
  switch (action.type) {
    case 'close':
      if (there === undefined) return { world, reply: { type: 'gone' } }
      return { world: changed({ ...there, isClosed: true }), reply: { type: 'done' } }
    case 'list':
      return { world, reply: { type: 'listed', epochs: there?.epochs ?? [] } }
    case 'readOwner':
      return { world, reply: there === undefined ? { type: 'gone' } : { type: 'owner', owner: there.owner } }
    case 'open':
      if (flaw !== 'listing before closing' || at === 0) return open(world, action, there, flaw)
      return open(execute(world, { type: 'close', generation: at }, flaw).world, action, there, flaw)
    case 'publish':
      return publish(world, action.epoch, there, changed, flaw)
  }
}

function open(
  world: World, { generation, owner, basis }: Extract<Action, { type: 'open' }>, there: Generation | undefined, flaw: Flaw,
): { world: World; reply: Reply } {
  const isFree = there === undefined || (flaw === 'closing frees the name' && there.isClosed)
  if (!isFree && flaw !== 'opening is no choice') return { world, reply: { type: 'exists' } }
  const isTwice = there !== undefined && (there.isTwice || there.owner !== owner)
  const made: Generation = { owner, basis, epochs: there?.epochs ?? [], isClosed: false, isTorn: false, isTwice }
  return { world: { ...world, generations: world.generations.toSpliced(generation - 1, 1, made) }, reply: { type: 'done' } }
}

function publish(
  world: World, epoch: string, there: Generation | undefined, changed: (generation: Generation) => World, flaw: Flaw,
): { world: World; reply: Reply } {
  if (there === undefined) return { world, reply: { type: 'gone' } }
  if (there.isClosed && flaw !== 'publishing makes the directory') return { world, reply: { type: 'gone' } }
  if (there.epochs.includes(epoch)) return { world, reply: { type: 'exists' } }
  const epochs = [...there.epochs, epoch].toSorted()
  return { world: changed({ ...there, epochs, isTorn: there.isTorn || there.isClosed }), reply: { type: 'done' } }
}

function keyOf(world: World): string {
  return JSON.stringify({ ...world, late: world.late.map((each) => JSON.stringify(each)).toSorted() })
}
