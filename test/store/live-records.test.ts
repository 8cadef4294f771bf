/** What a collection has found of what is needed. */
import test from 'ava'
import { LiveRecords } from '../../src/store/collection/live-records.ts'
import { Random } from '../random.ts'

test('what is needed and was not found is counted, however large the set became meanwhile', (t) => {
  const random = Random.announced(t)
  const live = new LiveRecords(10, 7)
  const ids = Array.from({ length: 5_000 }, () => random.bytes(32))
  for (const [at, id] of ids.entries()) {
    live.keep(id)
    if (at % 3 === 0) live.found(id, at % 4)
  }
  t.is(live.missing, ids.filter((_, at) => at % 3 !== 0).length)
  for (const id of ids) live.found(id, 0)
  t.is(live.missing, 0)
  live.found(random.bytes(32), 0)
  t.is(live.missing, 0, 'what nobody needs is not looked for')
})

test('a base is found where its record is, or a shallower one, in any order', (t) => {
  const random = Random.announced(t)
  const [deep, shallow, absent] = [random.bytes(32), random.bytes(32), random.bytes(32)]
  const live = new LiveRecords(10, 7)
  for (const id of [deep, shallow, absent]) live.keepBase(id, 1)
  t.is(live.missing, 3)
  live.found(shallow, 0)
  t.is(live.missing, 2)
  live.found(deep, 2)
  t.is(live.missing, 2, 'a deeper one does not serve')
  live.keepBase(deep, 2)
  live.found(deep, 2)
  t.is(live.missing, 2, 'both depths were wanted, and one is there')
  live.found(deep, 1)
  live.found(absent, 1)
  t.is(live.missing, 0)
})
