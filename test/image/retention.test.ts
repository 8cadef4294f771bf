import test from 'ava'
import { type RetentionRules, decide, defaultThinning, risingTimes } from '../../src/image/collection/retention.ts'
import { Random } from '../random.ts'

const hourMs = 3_600_000
const start = Date.UTC(2030, 0, 7)

function epochs(timesMs: readonly number[], needed: Record<number, string> = {}) {
  return timesMs.map((wallMs, number) => ({ number, wallMs: start + wallMs, neededFor: needed[number] ?? null }))
}

function kept(timesMs: readonly number[], rules: RetentionRules, needed: Record<number, string> = {}): number[] {
  return decide(epochs(timesMs, needed), rules).filter(({ reasons }) => reasons.length > 0).map(({ number }) => number)
}

test('without a rule all stay, and the newest and what is needed always', (t) => {
  t.deepEqual(kept([0, 1, 2], {}), [0, 1, 2])
  t.deepEqual(kept([], { keepLast: 1 }), [])
  t.deepEqual(kept([0, 1, 2], { keepDaily: 0 }), [2])
  t.deepEqual(kept([0, 1, 2, 3], { keepLast: 1 }, { 1: 'pinned' }), [1, 3])
})

test('each rule keeps what it says, and rules add up', (t) => {
  const times = Array.from({ length: 100 }, (_, at) => at * hourMs / 2)
  t.deepEqual(kept(times, { keepLast: 3 }), [97, 98, 99])
  t.deepEqual(kept(times, { keepWithinMs: hourMs }), [97, 98, 99])
  t.deepEqual(kept(times, { keepHourly: 3 }), [95, 97, 99])
  t.deepEqual(kept(times, { keepDaily: 2 }), [95, 99])
  t.deepEqual(kept(times, { keepWeekly: 5 }), [99])
  t.deepEqual(kept(times, { keepLast: 1, keepHourly: 2, keepDaily: 3 }), [47, 95, 97, 99])
})

test('a clock that is set back deletes nothing, and time goes on from there', (t) => {
  t.deepEqual(risingTimes([5, 7, 3, 4, 4, 10].map((wallMs) => ({ wallMs }))), [5, 7, 7, 8, 8, 14])
  const back = [0, hourMs, 2 * hourMs, -365 * 24 * hourMs, -365 * 24 * hourMs + 1000]
  t.deepEqual(kept(back, { keepWithinMs: hourMs + 1000 }), [1, 2, 3, 4])
  t.deepEqual(kept(back, { keepHourly: 10 }), [0, 1, 4])
})

test('thinning keeps less the older it is, and what it keeps now it would have kept before', (t) => {
  const random = Random.announced(t)
  let left: { number: number; wallMs: number }[] = []
  const times: number[] = []
  let timeMs = start
  for (let number = 0; number < 4000; number++) {
    timeMs += 500 + random.below(3000) + (random.below(200) === 0 ? hourMs * random.below(10) : 0)
    times.push(timeMs)
    left.push({ number, wallMs: timeMs })
    if (number % 10 > 0 && number < 3999) continue
    const stays = new Set(decide(left.map((each) => ({ ...each, neededFor: null })), { thin: defaultThinning })
      .filter(({ reasons }) => reasons.length > 0).map((each) => each.number))
    left = left.filter((each) => stays.has(each.number))
  }
  const recent = left.filter(({ wallMs }) => timeMs - wallMs <= 60_000)
  // Fewer than twelve where the clock has just jumped; the first of a span may be older than a minute.
  const spans = new Set(times.filter((each) => timeMs - each <= 60_000).map((each) => Math.floor(each / 5_000)))
  t.true(recent.length >= spans.size - 1)
  t.true(left.length < 300, `${left.length} left`)
  const older = left.filter(({ wallMs }) => timeMs - wallMs > hourMs).map(({ wallMs }) => Math.floor(wallMs / hourMs))
  t.is(new Set(older).size, older.length, 'one of each hour')
})
