/** Commits behind a mount: joined where they may be, never past a seal, whatever order things come in. */
import { setImmediate as turn } from 'node:timers/promises'
import test from 'ava'
import { HoldfastError } from '../../src/errors.ts'
import type { Engine } from '../../src/image/engine.ts'
import type { CommitRequest, CommitResult } from '../../src/image/types.ts'
import { Commits } from '../../src/mount/commits.ts'
import type { OpenCommit } from '../../src/mount/commits.ts'
import { Random } from '../random.ts'

/** An engine whose commits end when the test says so. */
class SlowEngine {
  readonly requests: CommitRequest[] = []
  #end: (error?: Error) => void = () => undefined

  get engine(): Engine {
    return { commit: (request: CommitRequest) => this.#commit(request) } as unknown as Engine
  }

  /** The commit under way ends; false when there is none. */
  async end(error?: Error): Promise<void> {
    this.#end(error)
    this.#end = () => undefined
    await turn()
  }

  #commit(request: CommitRequest): Promise<CommitResult> {
    this.requests.push(request)
    return new Promise((resolve, reject) => {
      const { image, segment } = request
      this.#end = (error) => error === undefined
        ? resolve({ image, segment, manifest: '', writtenBytes: 0, storedBytes: 0 }) : reject(error)
    })
  }
}

function begin(): { slow: SlowEngine; commits: Commits; committed: number[]; failures: string[] } {
  const slow = new SlowEngine()
  const committed: number[] = []
  const failures: string[] = []
  const commits = new Commits({
    engine: slow.engine, image: 'image', committedTo: 0, onCommitted: ({ segment }) => committed.push(segment),
    onDelay: () => undefined, onFailure: (message) => failures.push(message),
  })
  return { slow, commits, committed, failures }
}

test('segments that come while a commit runs are committed as one, inherited ones in steps that double', async (t) => {
  const { slow, commits, committed } = begin()
  commits.inherited([1, 2, 3, 4, 5, 6, 7, 8])
  for (const segment of [9, 10, 11]) commits.behind(segment)
  for (let ends = 0; ends < 6; ends += 1) {
    await turn()
    await slow.end()
  }
  t.deepEqual(committed, [1, 3, 7, 8, 11])
})

for (const round of [1, 2, 3]) {
  test(`every barrier is committed, in order, and seals cut where they were taken, round ${round}`, async (t) => {
    const random = Random.announced(t)
    const { slow, commits, committed, failures } = begin()
    const open: OpenCommit[] = []
    const sealed: Promise<CommitResult>[] = []
    const seals: number[] = []
    let segment = 0
    for (let step = 0; step < 400; step += 1) {
      switch (random.below(6)) {
        case 0:
        case 1:
          commits.behind(segment += 1)
          break
        case 2:
          open.push(commits.open(segment += 1))
          break
        case 3: {
          const cut = open.shift()
          if (cut === undefined) break
          if (random.below(2) === 0) cut.abandon()
          else sealed.push(cut.seal({ note: 'sealed' }))
          break
        }
        default:
          await slow.end(random.below(40) === 0 ? new HoldfastError('NO_SPACE', 'full') : undefined)
      }
    }
    for (const cut of open) cut.abandon()
    commits.behind(segment += 1)
    for (const before of sealed) before.catch(() => undefined)
    while (committed.at(-1) !== segment) await slow.end()
    const requests = slow.requests.map((request) => request.segment)
    t.deepEqual(requests, requests.toSorted((a, b) => a - b), 'in order')
    for (const { kind, segment: upTo } of slow.requests) if (kind === 'epoch') seals.push(upTo)
    t.is(new Set(seals).size, seals.length)
    t.deepEqual(failures, [])
    await commits.close()
  })
}
