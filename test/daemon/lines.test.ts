import test from 'ava'
import { isCode } from '../../src/errors.ts'
import { LineReader } from '../../src/daemon/lines.ts'
import { decodeClientLine, decodeDaemonLine } from '../../src/daemon/protocol.ts'
import { Random } from '../random.ts'

test('lines come out whole however the bytes are cut', (t) => {
  const random = Random.announced(t)
  const wanted = Array.from({ length: 200 }, (_, index) => `${index} ${'é€'.repeat(random.below(20))}`)
  const bytes = Buffer.from(wanted.map((line) => `${line}\n${random.below(4) === 0 ? '\n' : ''}`).join(''))
  const reader = new LineReader(1000)
  const lines: string[] = []
  for (let from = 0; from < bytes.length;) {
    const to = from + 1 + random.below(50)
    lines.push(...reader.push(bytes.subarray(from, to)))
    from = to
  }
  t.deepEqual(lines, wanted)
})

test('a line of the longest length passes, a longer one is refused before its end comes', (t) => {
  const longest = 'x'.repeat(100)
  t.deepEqual([...new LineReader(100).push(Buffer.from(`${longest}\n`))], [longest])
  const reader = new LineReader(100)
  t.deepEqual([...reader.push(Buffer.from('x'.repeat(60)))], [])
  t.true(isCode(t.throws(() => [...reader.push(Buffer.from('x'.repeat(60)))]), 'DAEMON'))
})

test('bytes that are not UTF-8 are refused', (t) => {
  t.true(isCode(t.throws(() => [...new LineReader(100).push(Buffer.from([0xff, 0x0a]))]), 'DAEMON'))
})

test('any document is a message or DAEMON, on both sides', (t) => {
  const random = Random.announced(t)
  const values = ['1', '-1', '1.5', '1e99', 'null', 'true', '""', '"images"', '{}', '[]', '{"protocol":1}', '[[[]]]']
  const fields = ['id', 'verb', 'args', 'abort', 'hello', 'result', 'error', 'progress', 'detached', '__proto__']
  for (let round = 0; round < 5000; round++) {
    const some = fields.filter(() => random.below(3) === 0).map((field) => `"${field}":${random.pick(values)}`)
    const line = random.below(10) === 0 ? random.pick(values) : `{${some.join(',')}${random.below(10) === 0 ? '' : '}'}`
    for (const decode of [decodeClientLine, decodeDaemonLine]) {
      try {
        decode(line)
      } catch (error) {
        if (!isCode(error, 'DAEMON')) t.fail(`${line}: ${String(error)}`)
      }
    }
  }
  t.pass()
})
