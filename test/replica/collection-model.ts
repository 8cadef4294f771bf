/**
 * A model of a replica with writers and collectors, and a search through everything that can happen: every
 * interleaving (a pause is an interleaving), answers that are lost, requests that are carried out long after their
 * answer was given up, deaths. The plans are hostile: every pack there is may go, and any intent is taken for a dead
 * writer's. Broken writers and collectors show that the search finds what is wrong.
 */
import { Buffer } from 'node:buffer'
import { blake3 } from '@napi-rs/blake-hash'
import { type CollectionReply, type Place, packOfMarker } from '../../src/replica/protocol/collection.ts'
import {
  type CollectorAction, type CollectorState, beginCollector, stepCollector,
} from '../../src/replica/protocol/collector.ts'
import { type WriterAction, type WriterState, beginWriter, stepWriter } from '../../src/replica/protocol/writer.ts'
import { pathTo } from './trace.ts'

interface Named {
  readonly name: string
  readonly packs: readonly string[]
}

interface Writer {
  readonly state: WriterState
  readonly action: WriterAction | null
  /** Packs of the batch that is uploaded and not begun. */
  readonly ready: readonly Named[]
  readonly batchCount: number
  /** What a broken writer goes by. */
  readonly stash: Stash | null
}

interface Collector {
  readonly state: CollectorState
  readonly action: CollectorAction | null
  readonly stash: readonly string[]
}

interface Stash {
  readonly condemned: readonly string[]
  readonly deleting: readonly string[]
  readonly sweeps: readonly string[]
}

export interface World {
  readonly packs: readonly string[]
  readonly intents: readonly Named[]
  readonly records: readonly Named[]
  readonly condemned: readonly string[]
  readonly deleting: readonly string[]
  readonly sweeps: readonly string[]
  /** Writers whose generation was closed. */
  readonly closed: readonly number[]
  readonly writers: readonly Writer[]
  readonly collectors: readonly Collector[]
  readonly late: readonly { readonly writer: number | null; readonly action: WriterAction | CollectorAction }[]
  /** Confirmed as published. */
  readonly published: readonly string[]
  /** Removed by a plan. */
  readonly removed: readonly string[]
  readonly budget: Budget
}

export interface Budget {
  readonly batches: number
  readonly collections: number
  /** Records of a batch. */
  readonly batchRecords: number
  readonly losses: number
  readonly crashes: number
  /** Intents that a collector takes for a dead writer's. */
  readonly suspicions: number
  readonly fences: number
  /** What a plan takes for garbage: every pack, or only those that all writers share. */
  readonly packs: 'all' | 'shared'
}

export type Flaw =
  | 'none'
  | 'the writer looks before it intends'
  | 'the collector lists records before intents'
  | 'markers are made after the listing'
  | 'condemned packs are used'
  | 'deleting is listed before condemned'
  | 'sweeps are listed first'
  | 'what was found is known after an intent was gone'
  | 'sweeps are not looked at'
  | 'packs are removed without a sentence'

export interface Found {
  readonly stateCount: number
  readonly endCount: number
  /** Ends with every writer's records published and some pack removed. */
  readonly goodEndCount: number
  readonly fault: { readonly what: string; readonly path: readonly string[] } | null
}

export interface Move {
  readonly name: string
  readonly after: World
}

export function firstWorld(writerCount: number, collectorCount: number, budget: Budget): World {
  const writers = Array.from({ length: writerCount }, (_, at) => ({
    state: beginWriter(`w${at}`), action: null, ready: [], batchCount: 0, stash: null,
  }))
  const collectors = Array.from({ length: collectorCount }, (_, at) => ({
    state: beginCollector(`c${at}`), action: null, stash: [],
  }))
  return {
    packs: ['A'], intents: [], records: [{ name: 'r', packs: ['A'] }], condemned: [], deleting: [], sweeps: [], closed: [],
    writers, collectors, late: [], published: ['r'], removed: [], budget,
  }
}

export function explore(first: World, flaw: Flaw, statesMax = Infinity): Found {
  const seen = new Map<string, { from: string; what: string }>([[keyOf(first), { from: '', what: 'start' }]])
  let frontier = [first]
  let endCount = 0
  let goodEndCount = 0
  while (frontier.length > 0 && seen.size < statesMax) {
    const next: World[] = []
    for (const world of frontier) {
      const from = keyOf(world)
      const what = wrongIn(world)
      if (what !== null) return { stateCount: seen.size, endCount, goodEndCount, fault: { what, path: pathTo(seen, from) } }
      const moves = movesOf(world, flaw)
      if (moves.length === 0) endCount++
      if (moves.length === 0 && isGoodEnd(world)) goodEndCount++
      for (const { name, after } of moves) {
        const key = keyOf(after)
        if (seen.has(key)) continue
        seen.set(key, { from, what: name })
        next.push(after)
      }
    }
    frontier = next
  }
  return { stateCount: seen.size, endCount, goodEndCount, fault: null }
}

/** The obligations. */
export function wrongIn(world: World): string | null {
  const { records, packs, deleting, published, removed } = world
  const gone = new Set(deleting.map(packOfMarker))
  for (const { name, packs: needed } of records) {
    const lost = needed.find((pack) => !packs.includes(pack) || gone.has(pack))
    if (lost !== undefined) return `${name} is published and its pack ${lost} is gone`
    if (removed.includes(name)) return `${name} was removed and is back`
  }
  const lost = published.find((name) => !removed.includes(name) && !records.some((record) => record.name === name))
  return lost === undefined ? null : `${lost} was published and is not there`
}

function isGoodEnd({ writers, removed, packs }: World): boolean {
  return writers.every(({ state }) => state.phase === 'idle') && removed.length > 0 && !packs.includes('A')
}

export function movesOf(world: World, flaw: Flaw): Move[] {
  return [
    ...world.writers.flatMap((writer, at) => (writer.action === null
      ? writerMoves(world, at, flaw) : requestMoves(world, { writer: at, action: writer.action }, flaw))),
    ...world.collectors.flatMap((collector, at) => (collector.action === null
      ? collectorMoves(world, at, flaw) : requestMoves(world, { collector: at, action: collector.action }, flaw))),
    ...crashes(world),
    ...world.late.map((late, at) => ({
      name: `late ${describe(late.action)}`,
      after: { ...execute(world, late.writer, late.action, flaw).world, late: world.late.toSpliced(at, 1) },
    })),
    ...fences(world),
  ]
}

/** A batch is uploaded, then begun: each of its records names a pack of its own and one that was there before. */
function writerMoves(world: World, at: number, flaw: Flaw): Move[] {
  const writer = world.writers[at]
  const { budget } = world
  const { self, phase } = writer.state
  if (phase !== 'idle') return []
  if (writer.ready.length > 0) {
    const records = writer.ready.map(({ name, packs }) => ({ record: name, packs }))
    const begun = { ...world, writers: world.writers.with(at, { ...writer, ready: [], stash: needsStash(flaw) ? stashOf(world) : null }) }
    return [{ name: `${self} begins`, after: writerStep(begun, at, stepWriter(writer.state, { type: 'publish', records })) }]
  }
  if (budget.batches === 0) return []
  const own = `P${self}-${writer.batchCount}`
  const names = Array.from({ length: budget.batchRecords }, (_, each) => `${self}-${writer.batchCount}-${each}`)
  const before = writer.batchCount > 0 ? [`P${self}-${writer.batchCount - 1}`] : []
  const shared = ['A', ...before].filter((pack) => world.packs.includes(pack) || writer.state.known?.packs.includes(pack))
  const ready = names.map((name) => ({ name, packs: [...shared, own] }))
  const after = {
    ...world, packs: [...world.packs, own], budget: { ...budget, batches: budget.batches - 1 },
    writers: world.writers.with(at, { ...writer, ready, batchCount: writer.batchCount + 1 }),
  }
  return [{ name: `${self} uploads ${own}`, after }]
}

/** A plan removes no record or all that a retention might; every pack may go. */
function collectorMoves(world: World, at: number, flaw: Flaw): Move[] {
  const { budget, records, intents, packs } = world
  const collector = world.collectors[at]
  if (budget.collections === 0) return []
  const suspects = budget.suspicions > 0 && intents.length > 0 ? [[], [intents[0].name]] : [[]]
  const doomed = records.length > 0 ? [[], records.map(({ name }) => name)] : [[]]
  return suspects.flatMap((dead) => doomed.map((removed) => {
    const spent = { ...budget, collections: budget.collections - 1, suspicions: budget.suspicions - dead.length }
    const plan = { records: removed, intents: dead, packs: budget.packs === 'all' ? packs : packs.filter((pack) => pack.startsWith('A')) }
    const stays = [...intents, ...records].filter(({ name }) => !dead.includes(name) && !removed.includes(name))
    const stash = needsStash(flaw) ? [...new Set(stays.flatMap((each) => each.packs))] : []
    const begun = { ...stepCollector(collector.state, { type: 'collect', plan }), stash }
    const name = `${collector.state.self} collects ${[...removed, ...dead].join()}`
    return { name, after: { ...world, budget: spent, collectors: world.collectors.with(at, begun) } }
  }))
}

type Request = { writer: number; action: WriterAction } | { collector: number; action: CollectorAction }

/** The request is carried out and answered; or the answer is lost; or the request is; or it comes late. */
function requestMoves(world: World, request: Request, flaw: Flaw): Move[] {
  const writer = 'writer' in request ? request.writer : null
  const { action } = request
  const self = 'writer' in request ? world.writers[request.writer].state.self : world.collectors[request.collector].state.self
  const name = `${self} ${describe(action)}`
  const done = execute(world, writer, action, flaw)
  const moves = [{ name, after: answered(done.world, request, done.reply, flaw) }]
  if (world.budget.losses === 0) return moves
  const spent = { ...world, budget: { ...world.budget, losses: world.budget.losses - 1 } }
  const unclear: CollectionReply = { type: 'unclear' }
  const isChange = action.type !== 'list' && action.type !== 'miss'
  if (isChange) moves.push({ name: `${name}, answer lost`, after: answered(execute(spent, writer, action, flaw).world, request, unclear, flaw) })
  if (isChange) moves.push({ name: `${name}, delayed`, after: answered({ ...spent, late: [...spent.late, { writer, action }] }, request, unclear, flaw) })
  return moves
}

/** The process is gone, its request may still come; a new one begins, which knows nothing. */
function crashes(world: World): Move[] {
  const { budget, writers, collectors } = world
  if (budget.crashes === 0) return []
  const spent = { ...world, budget: { ...budget, crashes: budget.crashes - 1 } }
  const late = (writer: number | null, action: WriterAction | CollectorAction | null): World['late'] => {
    return action === null || action.type === 'list' || action.type === 'miss' ? world.late : [...world.late, { writer, action }]
  }
  return [
    ...writers.flatMap(({ state, action, batchCount }, at): Move[] => state.phase === 'idle' ? [] : [{
      name: `${state.self} crashes`,
      after: { ...spent, late: late(at, action), writers: writers.with(at, { state: beginWriter(`${state.self}'`), action: null, ready: [], batchCount, stash: null }) },
    }]),
    ...collectors.flatMap(({ state, action }, at): Move[] => state.phase === 'idle' ? [] : [{
      name: `${state.self} crashes`,
      after: { ...spent, late: late(null, action), collectors: collectors.with(at, { state: beginCollector(`${state.self}'`), action: null, stash: [] }) },
    }]),
  ]
}

function fences(world: World): Move[] {
  if (world.budget.fences === 0) return []
  const spent = { ...world, budget: { ...world.budget, fences: world.budget.fences - 1 } }
  return world.writers.map(({ state }, at) => ({ name: `${state.self} is fenced`, after: { ...spent, closed: [...world.closed, at] } }))
}

function answered(world: World, request: Request, reply: CollectionReply, flaw: Flaw): World {
  if ('collector' in request) {
    const collector = world.collectors[request.collector]
    const step = stepCollector(collector.state, { type: 'reply', reply: staleCollectorReply(collector, reply, flaw) })
    return { ...world, collectors: world.collectors.with(request.collector, { ...collector, ...step }) }
  }
  const writer = world.writers[request.writer]
  const step = stepWriter(writer.state, { type: 'reply', reply: staleWriterReply(writer, reply, flaw) })
  const isKnown = flaw === 'what was found is known after an intent was gone' && reply.type === 'gone'
  if (!isKnown) return writerStep(world, request.writer, step)
  const { sweeps, packs } = writer.state
  return writerStep(world, request.writer, { ...step, state: { ...step.state, known: { sweeps, packs } } })
}

function writerStep(world: World, at: number, { state, action, published }: ReturnType<typeof stepWriter>): World {
  const all = published === null ? world.published : [...world.published, published].toSorted()
  return { ...world, published: all, writers: world.writers.with(at, { ...world.writers[at], state, action }) }
}

function execute(
  world: World, writer: number | null, action: WriterAction | CollectorAction, flaw: Flaw,
): { world: World; reply: CollectionReply } {
  const done = (after: World): { world: World; reply: CollectionReply } => ({ world: after, reply: { type: 'done' } })
  const listed = (names: readonly string[]): { world: World; reply: CollectionReply } => ({ world, reply: { type: 'listed', names } })
  switch (action.type) {
    case 'list': {
      const place = placeOf(action.place, writer, flaw)
      if (place === 'intents' || place === 'records') return listed([...new Set(world[place].flatMap(({ packs }) => packs))])
      return listed(world[place])
    }
    case 'miss': return listed(action.packs.filter((pack) => !world.packs.includes(pack)))
    case 'intend':
      if (world.intents.some(({ name }) => name === action.intent)) return { world, reply: { type: 'exists' } }
      return done({ ...world, intents: [...world.intents, { name: action.intent, packs: action.packs }] })
    case 'drop': return done({ ...world, intents: world.intents.filter(({ name }) => name !== action.intent) })
    case 'replace': return replace(world, action)
    case 'publish': return publish(world, writer, action)
    case 'make': return done({ ...world, [action.place]: [...new Set([...world[action.place], action.name])].toSorted() })
    case 'sentence': {
      if (flaw === 'packs are removed without a sentence') return done(world)
      const { marker } = action
      if (!world.condemned.includes(marker)) return { world, reply: { type: world.deleting.includes(marker) ? 'done' : 'gone' } }
      return done({ ...world, condemned: world.condemned.filter((each) => each !== marker), deleting: [...world.deleting, marker].toSorted() })
    }
    case 'remove': return done(remove(world, action))
  }
}

function replace(world: World, { packs, attempt }: Extract<WriterAction, { type: 'replace' }>): { world: World; reply: CollectionReply } {
  const names = Object.fromEntries(packs.map((pack) => [pack, [`${pack.split('+')[0]}+${attempt}`]]))
  const all = [...new Set([...world.packs, ...Object.values(names).flat()])].toSorted()
  return { world: { ...world, packs: all }, reply: { type: 'replaced', names } }
}

function publish(world: World, writer: number | null, { intent, record }: Extract<WriterAction, { type: 'publish' }>): { world: World; reply: CollectionReply } {
  if (writer !== null && world.closed.includes(writer)) return { world, reply: { type: 'fenced' } }
  const found = world.intents.find(({ name }) => name === intent)
  if (found === undefined) return { world, reply: { type: world.records.some(({ name }) => name === record) ? 'exists' : 'gone' } }
  if (world.records.some(({ name }) => name === record)) return { world, reply: { type: 'exists' } }
  const intents = world.intents.filter((each) => each !== found)
  const records = [...world.records, { name: record, packs: found.packs }].toSorted((a, b) => (a.name < b.name ? -1 : 1))
  return { world: { ...world, intents, records }, reply: { type: 'done' } }
}

function remove(world: World, { place, name }: Extract<CollectorAction, { type: 'remove' }>): World {
  const isOther = (each: { readonly name: string }): boolean => each.name !== name
  if (place === 'intents') return { ...world, intents: world.intents.filter(isOther) }
  if (place !== 'records') return { ...world, [place]: world[place].filter((each) => each !== name) }
  // What was removed before its writer learnt that it is published may come back.
  const isConfirmed = world.published.includes(name) && world.records.some((each) => !isOther(each))
  const removed = isConfirmed ? [...new Set([...world.removed, name])].toSorted() : world.removed
  return { ...world, records: world.records.filter(isOther), removed }
}

// What is done wrong on purpose: most of it is an answer that is older than the question.

function staleWriterReply({ state, stash }: Writer, reply: CollectionReply, flaw: Flaw): CollectionReply {
  if (reply.type !== 'listed' || stash === null) return reply
  const { phase } = state
  const isMarkers = phase === 'condemned' || phase === 'deleting'
  if (flaw === 'the writer looks before it intends' && isMarkers) return { ...reply, names: stash[phase] }
  if (flaw === 'condemned packs are used' && phase === 'condemned') return { ...reply, names: [] }
  if (flaw === 'sweeps are not looked at' && phase === 'sweeps') return { ...reply, names: [] }
  if (flaw === 'sweeps are listed first' && phase === 'sweeps') return { ...reply, names: stash.sweeps }
  return reply
}

function staleCollectorReply({ state, stash }: Collector, reply: CollectionReply, flaw: Flaw): CollectionReply {
  const isNaming = state.phase === 'naming intents' || state.phase === 'naming records'
  if (flaw === 'markers are made after the listing' && isNaming) return { type: 'listed', names: stash }
  return reply
}

/** Two listings in the other order: each asks for what the other one is for. */
function placeOf(place: Place, writer: number | null, flaw: Flaw): Place {
  const swapped: [Place, Place] | null = flaw === 'the collector lists records before intents' && writer === null ? ['records', 'intents']
    : flaw === 'deleting is listed before condemned' && writer !== null ? ['deleting', 'condemned'] : null
  if (swapped === null || !swapped.includes(place)) return place
  return swapped[1 - swapped.indexOf(place)]
}

function stashOf({ condemned, deleting, sweeps }: World): Stash {
  return { condemned, deleting, sweeps }
}

function needsStash(flaw: Flaw): boolean {
  return flaw !== 'none'
}

function describe(action: WriterAction | CollectorAction): string {
  return Object.values(action).map((each) => (Array.isArray(each) ? each.join('+') : each)).join(' ')
}

/** 16 bytes of a digest: a clash among 10^8 states has odds below 10^-22. */
function keyOf(world: World): string {
  const late = world.late.map((each) => JSON.stringify(each)).toSorted()
  return blake3(Buffer.from(JSON.stringify({ ...world, late }))).toString('latin1', 0, 16)
}
