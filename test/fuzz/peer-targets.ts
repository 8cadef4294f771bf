/** What other programs say: the kernel, a hypervisor, HDFS, clients of the daemon, people at a prompt. */
import { Buffer } from 'node:buffer'
import { duplexPair } from 'node:stream'
import { isDriverError } from '../../drivers/errors.ts'
import { QmpClient } from '../../drivers/qemu/qmp.ts'
import { parseMountInfo } from '../../fuse/mountinfo.ts'
import { opcodeTable } from '../../fuse/protocol/opcodes.ts'
import { traceRequest } from '../../fuse/protocol/trace.ts'
import { readCommandLine } from '../../src/cli/arguments.ts'
import { LineReader } from '../../src/daemon/lines.ts'
import { requestBytesMax } from '../../src/daemon/limits.ts'
import { decodeClientLine, decodeDaemonLine } from '../../src/daemon/protocol.ts'
import { checkedArguments, verbNamed, verbNames } from '../../src/daemon/verbs.ts'
import { HoldfastError } from '../../src/errors.ts'
import { MIB } from '../../src/limits.ts'
import { fileStatus, Json, parseJson } from '../../src/replica/webhdfs/json.ts'
import { followRedirect } from '../../src/replica/webhdfs/redirect.ts'
import { refusedError, remoteFailure } from '../../src/replica/webhdfs/remote.ts'
import { Bench, kernelMessage } from '../fuse/kernel-message.ts'
import { corpusOf } from './target.ts'
import type { FuzzTarget } from './target.ts'

function coded(run: () => unknown): void {
  try {
    run()
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
  }
}

const bench = new Bench()

function askKernel(bytes: Buffer): void {
  const length = Math.min(bytes.length, bench.message.buffer.length)
  bench.ask(bytes.subarray(0, length), length)
  bytes.copy(bench.message.buffer)
  bench.message.start(length)
  traceRequest(bench.message)
  // The dispatcher answers for a file system that throws, as the one here does for what no kernel asks of it.
  const fault = bench.faults.splice(0).find((each) => !(each instanceof Error && /which is gone$|^bad name length$/.test(each.message)))
  if (fault !== undefined) throw fault
}

function readControlLines(bytes: Buffer): void {
  const lines: string[] = []
  const reader = new LineReader(requestBytesMax)
  coded(() => lines.push(...reader.push(bytes), ...reader.push(Buffer.from('\n'))))
  for (const line of lines) {
    coded(() => decodeDaemonLine(line))
    coded(() => {
      const message = decodeClientLine(line)
      if (message.type === 'call') checkedArguments(verbNamed(message.verb), message.args)
    })
  }
}

function readWebHdfs(bytes: Buffer): void {
  const text = bytes.toString()
  refusedError(remoteFailure({ status: 400 + (bytes[0] ?? 0), headers: {}, body: bytes }), 'reading')
  coded(() => {
    const statuses = new Json(parseJson(text), 'the answer').field('FileStatuses').field('FileStatus').items()
    statuses.map(fileStatus)
  })
  const from = { isTls: false, host: 'namenode', port: 9870 }
  coded(() => followRedirect({ from, method: 'GET', operation: 'OPEN', path: '/webhdfs/v1/a', location: text }))
}

async function answerAsHypervisor(bytes: Buffer): Promise<void> {
  const [client, server] = duplexPair()
  server.on('error', () => undefined)
  server.on('data', () => undefined)
  server.end(bytes)
  try {
    const qmp = await QmpClient.open(client, { timeoutMs: 1000 })
    const asked = qmp.execute('query-status')
    await asked.finally(() => qmp.close())
  } catch (error) {
    if (!isDriverError(error)) throw error
  }
}

const kernelSeeds = opcodeTable.map((row) => kernelMessage({ opcode: row.opcode, fixed: Buffer.alloc(row.fixed.bytes, 1), tail: 'name\0other\0' }))

export const peerTargets: readonly FuzzTarget[] = [
  {
    name: 'kernel message', seeds: [...kernelSeeds, ...corpusOf('kernel message')], run: askKernel, extraBytesMax: 2 * MIB,
    reseal: (bytes) => void (bytes.length >= 4 && bytes.writeUInt32LE(bytes.length, 0)),
  },
  { name: 'mountinfo', seeds: corpusOf('mountinfo'), run: (bytes) => void parseMountInfo(bytes.toString()) },
  { name: 'control line', seeds: corpusOf('control line'), run: readControlLines },
  { name: 'webhdfs answer', seeds: corpusOf('webhdfs answer'), run: readWebHdfs },
  { name: 'qmp answer', seeds: corpusOf('qmp answer'), run: answerAsHypervisor },
  {
    name: 'command line', seeds: [...corpusOf('command line'), ...verbNames.map((name) => Buffer.from(name.replaceAll(' ', '\0')))],
    run: (bytes) => coded(() => readCommandLine(bytes.toString().split('\0'), { store: undefined, keyFile: undefined, json: false, quiet: false, progress: false })),
  },
]
