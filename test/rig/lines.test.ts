import test from 'ava'
import { Lines } from '../../rig/guest/lines.ts'

test('a line that came in pieces is one line, and a wait finds it before and after it came', async (t) => {
  const lines = new Lines()
  const early = lines.find(/^counter (\d+)$/, 0, 1_000)
  lines.push('[ 0.1] kernel\r\ncoun')
  lines.push('ter 17\r\nrest')
  t.is((await early).match[1], '17')
  const late = await lines.find(/^counter/, 0, 1_000)
  t.is(late.next, 2)
  await t.throwsAsync(lines.find(/^counter/, late.next, 5), { code: 'TIMEOUT', message: /rest/ })
})

test('what is too old is forgotten, and indexes stay', async (t) => {
  const lines = new Lines()
  for (let number = 0; number < 20_000; number++) lines.push(`line ${number}\n`)
  t.is(lines.count, 20_000)
  t.is((await lines.find(/^line 19999$/, 0, 100)).next, 20_000)
  await t.throwsAsync(lines.find(/^line 5$/, 0, 5), { code: 'TIMEOUT' })
})

test('the end of the stream ends every wait', async (t) => {
  const lines = new Lines()
  const wait = lines.find(/never/, 0, 60_000)
  lines.push('last\n')
  lines.close('gone')
  await t.throwsAsync(wait, { code: 'CLOSED' })
  t.is((await lines.find(/^last$/, 0, 100)).next, 1)
  await t.throwsAsync(lines.find(/never/, 0, 100), { code: 'CLOSED' })
})
