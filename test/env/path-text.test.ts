import { Buffer } from 'node:buffer'
import test from 'ava'
import { pathBytes, pathText } from '../../src/env/path-text.ts'
import { Random } from '../random.ts'

test('text is text, and each other byte a lone surrogate', (t) => {
  t.is(pathText(Buffer.from('ünïcode 😀')), 'ünïcode 😀')
  t.is(pathText(Buffer.from([0x61, 0xff, 0xc3, 0xbc, 0xc3])), 'a\udcffü\udcc3')
  t.is(pathText(Buffer.from([0xed, 0xb2, 0x80])), '\udced\udcb2\udc80', 'a surrogate in UTF-8 is none')
  // U+10080 is a pair whose second half looks like an escaped byte.
  t.true(pathBytes('\u{10080}\udc80').equals(Buffer.from([0xf0, 0x90, 0x82, 0x80, 0x80])))
})

test('each name has one text, which leads back to it', (t) => {
  const random = Random.announced(t)
  const parts = [[0x2f], [0xf0, 0x90, 0x82, 0x80], [0xf0, 0x9f], [0xc3, 0xbc], [0xed, 0xb2, 0x80], [0x80], [0xff], [0x61]]
  const seen = new Map<string, string>()
  for (let round = 0; round < 3000; round += 1) {
    const bytes = Buffer.concat(Array.from({ length: random.below(8) }, () =>
      random.below(2) === 0 ? random.bytes(random.below(4)) : Buffer.from(parts[random.below(parts.length)])))
    const text = pathText(bytes)
    t.true(pathBytes(text).equals(bytes), bytes.toString('hex'))
    t.is(seen.get(text) ?? bytes.toString('hex'), bytes.toString('hex'))
    seen.set(text, bytes.toString('hex'))
  }
})
