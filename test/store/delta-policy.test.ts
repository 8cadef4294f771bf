import test from 'ava'
import { Buffer } from 'node:buffer'
import { compressDelta } from '../../src/chunk/codec.ts'
import { digest } from '../../src/chunk/digest.ts'
import { codecDelta, recordHeaderBytesFor } from '../../src/format/pack-record.ts'
import { chunkBytes, deltaDepthMax } from '../../src/limits.ts'
import { type ChunkForm, type Version, chooseForm, wholeForm } from '../../src/store/delta-policy.ts'
import { Random } from '../random.ts'

const generations = 50

/** A stored version, and its bases. */
interface Stored extends Version {
  readonly bases: readonly Stored[]
}

type Policy = (plain: Buffer, newest: Stored) => ChunkForm

const policies: Record<string, Policy> = {
  'as built': (plain, newest) => chooseForm(plain, [newest, ...newest.bases]),
  'whole each time': (plain) => wholeForm(plain),
  'always on the first': (plain, newest) => smallest(plain, delta(plain, newest.bases.at(-1) ?? newest)),
  'chain of three, then whole': (plain, newest) => {
    return newest.depth < deltaDepthMax ? smallest(plain, delta(plain, newest)) : wholeForm(plain)
  },
  'always on the deepest': (plain, newest) => {
    return smallest(plain, delta(plain, newest.depth < deltaDepthMax ? newest : newest.bases[0]))
  },
}

/** How a guest's pages change from one epoch to the next. */
const workloads: Record<string, (random: Random) => Buffer[]> = {
  'the same page again and again': (random) => {
    return versions(random, random.chunk(), (chunk) => random.bytes(2000).copy(chunk, 8192))
  },
  'other places each time': (random) => {
    return versions(random, random.chunk(), (chunk) => scatter(random, chunk, 8, chunk.length))
  },
  'a hot page and rare other ones': (random) => {
    const end = (n: number) => (n % 5 === 0 ? chunkBytes : 4096)
    return versions(random, random.chunk(), (chunk, n) => scatter(random, chunk, 30, end(n)))
  },
  'a log that grows': (random) => {
    return versions(random, Buffer.alloc(chunkBytes), (chunk, n) => random.chunk().copy(chunk, n * 1300, 0, 1300))
  },
  'a manifest node': (random) => {
    return versions(random, random.bytes(4096), (node) => random.bytes(32).copy(node, 32 * random.below(128)))
  },
  'rewritten now and then': (random) => versions(random, random.chunk(), (chunk, n) => {
    if (n % 17 === 0) random.chunk().copy(chunk)
    else scatter(random, chunk, 4, chunk.length)
  }),
}

function versions(random: Random, first: Buffer, change: (chunk: Buffer, generation: number) => void): Buffer[] {
  const all = [first]
  for (let n = 1; n <= generations; n++) {
    const next = Buffer.from(all[n - 1])
    change(next, n)
    next.writeUInt32LE(random.below(2 ** 31), 0)
    all.push(next)
  }
  return all
}

function scatter(random: Random, chunk: Buffer, places: number, end: number): void {
  for (let place = 0; place < places; place++) random.bytes(16).copy(chunk, random.below(end - 16))
}

function delta(plain: Buffer, base: Stored): ChunkForm | undefined {
  const payload = compressDelta(plain, base.plain())
  const { id: baseId, depth: baseDepth } = base
  return payload && { codec: codecDelta, depth: baseDepth + 1, payload, paidBytes: 0, baseId, baseDepth }
}

function smallest(plain: Buffer, form: ChunkForm | undefined): ChunkForm {
  const whole = wholeForm(plain)
  return form !== undefined && bytesOf(form) < bytesOf(whole) ? form : whole
}

const bytesOf = (form: ChunkForm) => recordHeaderBytesFor(form.codec) + form.payload.length

/** Stored bytes of all generations after the first. */
function simulate(plains: readonly Buffer[], policy: Policy, check: (form: ChunkForm) => void): number {
  const first = wholeForm(plains[0])
  let newest: Stored = { id: digest(plains[0]), depth: first.depth, paidBytes: 0, plain: () => plains[0], bases: [] }
  let bytes = 0
  for (const plain of plains.slice(1)) {
    const form = policy(plain, newest)
    check(form)
    bytes += bytesOf(form)
    const chain = [newest, ...newest.bases]
    const from = chain.findIndex(({ id }) => form.baseId?.equals(id))
    const { depth, paidBytes } = form
    newest = { id: digest(plain), depth, paidBytes, plain: () => plain, bases: from < 0 ? [] : chain.slice(from) }
  }
  return bytes
}

for (const [name, make] of Object.entries(workloads)) {
  test(`stored bytes of ${generations} generations: ${name}`, (t) => {
    const plains = make(Random.announced(t))
    const stored: Record<string, number> = {}
    for (const [label, policy] of Object.entries(policies)) {
      stored[label] = simulate(plains, policy, ({ depth, baseDepth }) => {
        t.true(depth <= deltaDepthMax && (depth === 0 || baseDepth < depth))
      })
      t.log(`${label.padEnd(28)} ${stored[label]}`)
    }
    const others = Object.entries(stored).filter(([label]) => label !== 'as built').map(([, bytes]) => bytes)
    t.true(stored['as built'] <= 1.1 * Math.min(...others), 'no simple policy is better by more than a tenth')
  })
}

test('what does not compress against its base is stored whole', (t) => {
  const random = Random.announced(t)
  const [first, second] = [random.bytes(65_536), random.chunk()]
  const base: Version = { id: digest(first), depth: 0, paidBytes: 0, plain: () => first }
  t.is(chooseForm(second, [base]).depth, 0)
  t.is(chooseForm(random.bytes(65_536), [base]).payload.length, 65_536)
})
