import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { traceFile } from '../../fuse/index.ts'
import { traceReply, traceRequest } from '../../fuse/protocol/trace.ts'
import * as structures from '../../fuse/protocol/structures.ts'
import { Bench, kernelMessage, structure } from './kernel-message.ts'

function traced(bytes: Buffer): { request: string; reply: string } {
  const bench = new Bench()
  bytes.copy(bench.message.buffer)
  bench.message.start(bytes.length)
  const request = traceRequest(bench.message)
  const { unique } = bench.message
  bench.ask(bytes)
  return { request, reply: traceReply(unique, bench.reply) }
}

test('a request is printed with its fields and names, its reply with the error or the size', (t) => {
  const fixed = structure(structures.RENAME2_IN, { newdir: 3n, flags: 1n })
  const rename = traced(kernelMessage({ opcode: 'RENAME2', unique: 42n, fixed, tail: 'old\0new name\0' }))
  t.is(rename.request, '> 42 RENAME2 node 1 {newdir 3, flags 1} "old" "new name"')
  t.is(rename.reply, '< 42 EIO')
  const lookup = traced(kernelMessage({ opcode: 'LOOKUP', unique: (1n << 63n) | 44n, tail: 'x\0' }))
  t.is(lookup.request, '> 44 resent LOOKUP node 1 "x"')
  t.is(lookup.reply, '< 44 ok 128 bytes')
})

test('offers of INIT are printed by name', (t) => {
  const fixed = structure(structures.INIT_IN, { major: 7n, minor: 45n, flags: 1n, flags2: 128n })
  t.regex(traced(kernelMessage({ opcode: 'INIT', fixed })).request, /\[ASYNC_READ HAS_RESEND\]$/)
})

test('what is cut short or unknown is said', (t) => {
  const cut = kernelMessage({ opcode: 'READ', fixed: Buffer.alloc(8) })
  t.is(traced(cut).request, '> 2 READ node 1 (cut short: 48 bytes)')
  t.is(traced(kernelMessage({ opcode: 999 })).request, '> 2 opcode 999 node 1')
})

test('a request without a reply says so', (t) => {
  const fixed = structure(structures.FORGET_IN, { nlookup: 1n })
  t.is(traced(kernelMessage({ opcode: 'FORGET', node: 9n, fixed })).reply, '< 2 no reply')
})

test('a file takes the lines of several threads, and begins anew when it is full', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-trace-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'trace')
  const [one, other] = [traceFile(path, 20), traceFile(path, 20)]
  one('> 2 LOOKUP')
  other('> 4 MKDIR')
  t.is(readFileSync(path, 'latin1'), '> 2 LOOKUP\n> 4 MKDIR\n')
  one('> 6 READ')
  t.is(readFileSync(path, 'latin1'), '> 6 READ\n')
  t.throws(() => traceFile(join(directory, 'none', 'trace')), { code: 'ENOENT' })
})
