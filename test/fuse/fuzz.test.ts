/** Malformed messages: whatever the bytes are, the answer is an errno or a proper reply. */
import test from 'ava'
import { opcodeTable } from '../../fuse/protocol/opcodes.ts'
import { traceRequest } from '../../fuse/protocol/trace.ts'
import { Random } from '../random.ts'
import { Bench, kernelMessage } from './kernel-message.ts'
import type { Answer } from './kernel-message.ts'

const ROUNDS = 20_000

function randomBytes(random: Random, bytes: number): Buffer {
  const shape = random.below(3)
  return Buffer.from(Array.from({ length: bytes }, () => (shape === 0 ? random.below(256) : shape === 1 ? random.below(3) : 255)))
}

test('no bytes make the dispatcher throw', (t) => {
  const random = Random.announced(t)
  const bench = new Bench()
  for (let round = 0; round < ROUNDS; round++) {
    const row = opcodeTable[random.below(opcodeTable.length)]
    const opcode = random.below(20) === 0 ? random.below(2 ** 16) : row.opcode
    const body = randomBytes(random, random.below(4) === 0 ? random.below(row.fixed.bytes + 1) : row.fixed.bytes + random.below(64))
    const node = random.below(4) === 0 ? randomBytes(random, 8).readBigUInt64LE() : 1n
    const unique = random.below(4) === 0 ? randomBytes(random, 8).readBigUInt64LE() : 2n
    const bytes = kernelMessage({ opcode, node, unique, tail: body })
    const length = random.below(10) === 0 ? random.below(bytes.length + 100) : bytes.length
    const where = `round ${round} opcode ${opcode}`
    const answers: Answer[] = []
    t.notThrows(() => answers.push(bench.ask(bytes, length)), where)
    const isOwed = opcodeTable.find((each) => each.opcode === opcode)?.reply !== 'none'
    if (isOwed && length >= 40) t.true(answers[0].isSent, where)
    bytes.copy(bench.message.buffer)
    bench.message.start(length)
    t.notThrows(() => traceRequest(bench.message), `trace: round ${round} opcode ${opcode}`)
  }
  t.true(bench.dispatcher.counts.malformedCount > ROUNDS / 100)
})

test('a message cut short anywhere is counted and answered EINVAL, or not answered at all', (t) => {
  for (const row of opcodeTable) {
    const bench = new Bench()
    const whole = kernelMessage({ opcode: row.opcode, fixed: Buffer.alloc(row.fixed.bytes), tail: 'a\0b\0' })
    const cut = whole.subarray(0, 40 + row.fixed.bytes - 1)
    if (row.fixed.bytes === 0) continue
    cut.writeUInt32LE(cut.length, 0)
    const answer = bench.ask(cut)
    t.is(bench.dispatcher.counts.malformedCount, 1, row.name)
    if (row.reply === 'none') t.false(answer.isSent, row.name)
    else t.is(answer.error, -22, row.name)
  }
})

test('a name without its end is malformed', (t) => {
  const bench = new Bench()
  bench.message.buffer.fill(0x61)
  t.is(bench.ask(kernelMessage({ opcode: 'UNLINK', tail: 'abc' })).error, -22)
  t.is(bench.dispatcher.counts.malformedCount, 1)
})
