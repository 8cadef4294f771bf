import test from 'ava'
import { parse } from '../../src/env/data-ranges.ts'

const hole = { present: true, zero: true, data: false }
const data = { present: true, zero: false, data: true }

test('a map tells where data is, no further than the file goes', (t) => {
  const map = [{ start: 0, length: 512, ...hole }, { start: 512, length: 512, ...data }, { start: 1024, length: 512, ...data }]
  t.deepEqual(parse(JSON.stringify(map), 1030), [{ from: 512, to: 1024 }, { from: 1024, to: 1030 }])
  t.deepEqual(parse(JSON.stringify(map), 1024), [{ from: 512, to: 1024 }])
})

test('a map that leaves something out is none', (t) => {
  const maps = [[], [{ start: 0, length: 512, ...data }], [{ start: 0, length: 512, ...hole }, { start: 600, length: 600, ...data }],
    [{ start: 0, length: 1030 }], [{ start: 0, length: '1030', ...data }], {}, null]
  for (const map of maps) t.throws(() => parse(JSON.stringify(map), 1030), undefined, JSON.stringify(map))
})
