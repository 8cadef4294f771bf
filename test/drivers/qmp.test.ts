import test from 'ava'
import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import { isDriverError } from '../../drivers/errors.ts'
import { limits } from '../../drivers/limits.ts'
import { LineDecoder } from '../../drivers/qemu/lines.ts'
import { QmpClient } from '../../drivers/qemu/qmp.ts'
import { Random } from '../random.ts'
import { codeOf } from './rig.ts'

const greeting = '{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": []}}\r\n'

interface Request {
  execute: string
  id: number
  arguments?: Record<string, unknown>
}

/** A server that says what it is told to. */
class Server {
  readonly stream: Duplex
  readonly client: Duplex
  readonly requests: Request[] = []

  constructor(answer: (request: Request, server: Server) => void) {
    const [client, stream] = duplexPair()
    this.client = client
    this.stream = stream
    const lines = new LineDecoder(1024 * 1024)
    stream
      .on('error', () => undefined)
      .on('data', (bytes: Buffer) => {
        for (const line of lines.push(bytes)) {
          const request = JSON.parse(line) as Request
          this.requests.push(request)
          if (request.execute === 'qmp_capabilities') this.say({ return: {}, id: request.id })
          else answer(request, this)
        }
      })
    stream.write(greeting)
  }

  say(message: object): void {
    this.stream.write(`${JSON.stringify(message)}\r\n`)
  }
}

async function connected(answer: (request: Request, server: Server) => void): Promise<[QmpClient, Server]> {
  const server = new Server(answer)
  return [await QmpClient.open(server.client), server]
}

test('replies find their commands in whatever order they come', async (t) => {
  const [qmp] = await connected((_request, server) => {
    if (server.requests.length === 4)
      for (const { id, execute } of server.requests.slice(1).reverse()) server.say({ return: execute, id })
  })
  t.deepEqual(await Promise.all([qmp.execute('a'), qmp.execute('b'), qmp.execute('c')]), ['a', 'b', 'c'])
  qmp.close()
})

test('an error carries the class and the description', async (t) => {
  const [qmp] = await connected(({ id }, server) =>
    server.say({ error: { class: 'CommandNotFound', desc: 'no such thing' }, id }),
  )
  const error = await t.throwsAsync(qmp.execute('jump'))
  t.true(isDriverError(error, 'COMMAND_FAILED'))
  t.regex(error?.message ?? '', /jump.*CommandNotFound.*no such thing/)
  qmp.close()
})

test('a command has a deadline and a signal, and a late answer harms nobody', async (t) => {
  const [qmp, server] = await connected(({ execute, id }) => {
    if (execute === 'quick') server.say({ return: 1, id })
  })
  t.is(await codeOf(t, qmp.execute('slow', undefined, { timeoutMs: 10 })), 'TIMEOUT')
  t.is(await codeOf(t, qmp.execute('slow', undefined, { signal: AbortSignal.abort() })), 'ABORTED')
  for (const { id } of server.requests) server.say({ return: 'late', id })
  t.is(await qmp.execute('quick'), 1)
  qmp.close()
})

test('the end of the connection rejects all that waits, once', async (t) => {
  const [qmp, server] = await connected(() => undefined)
  const waiting = [qmp.execute('a'), qmp.execute('b')].map((work) => codeOf(t, work))
  server.stream.end()
  t.deepEqual(await Promise.all(waiting), ['DISCONNECTED', 'DISCONNECTED'])
  t.is(await codeOf(t, qmp.execute('c')), 'DISCONNECTED')
  t.is((await qmp.closed).code, 'DISCONNECTED')
  qmp.close()

  const [second] = await connected(() => undefined)
  const pending = codeOf(t, second.execute('a'))
  second.close()
  second.close()
  t.is(await pending, 'CLOSED')
})

test('no more commands wait than the limit says', async (t) => {
  const [qmp] = await connected(() => undefined)
  const waiting = Array.from({ length: limits.commandsPendingMax }, () => codeOf(t, qmp.execute('a')))
  t.is(await codeOf(t, qmp.execute('b')), 'BUSY')
  qmp.close()
  t.true((await Promise.all(waiting)).every((code) => code === 'CLOSED'))
})

test('a slow reader of events loses the oldest and is told how many', async (t) => {
  const [qmp, server] = await connected(({ id }) => server.say({ return: {}, id }))
  const reader = qmp.events[Symbol.asyncIterator]()
  const extra = 10
  for (let index = 0; index < limits.eventsQueuedMax + extra; index++) server.say({ event: 'E', data: { index } })
  await qmp.execute('sync')
  t.deepEqual((await reader.next()).value, { name: 'HOLDFAST_EVENTS_LOST', data: { lost: extra } })
  t.deepEqual((await reader.next()).value, { name: 'E', data: { index: extra } })
  qmp.close()
})

test('a server that says nothing, or nothing sensible, is not waited for', async (t) => {
  const [silent] = duplexPair()
  t.is(await codeOf(t, QmpClient.open(silent, { timeoutMs: 10 })), 'TIMEOUT')
  for (const nonsense of ['hello\n', '[1]\n', '7\n', '{"QMP": {}}\n{\n', `"${'x'.repeat(limits.messageBytesMax)}`]) {
    const [client, server] = duplexPair()
    const opening = codeOf(t, QmpClient.open(client))
    server.on('error', () => undefined).write(nonsense)
    t.is(await opening, 'PROTOCOL')
    t.true(client.destroyed)
  }
})

test('the decoder gives the same lines whatever the pieces, and nothing for a line that is too long', (t) => {
  const random = Random.announced(t)
  for (let round = 0; round < 200; round++) {
    const lines = Array.from({ length: random.below(20) }, () => 'x'.repeat(random.below(60)) + (random.below(2) ? 'é' : 'y'))
    const bytes = Buffer.from(lines.map((line) => `${line}\r\n`).join(''))
    const decoder = new LineDecoder(100)
    const found: string[] = []
    for (let at = 0; at < bytes.length;) {
      const end = at + 1 + random.below(40)
      found.push(...decoder.push(bytes.subarray(at, end)))
      at = end
    }
    t.deepEqual(found, lines)
    t.throws(
      () => {
        for (let index = 0; index < 11; index++) decoder.push(Buffer.alloc(10, 'z'))
      },
      { code: 'PROTOCOL' },
    )
    t.throws(() => decoder.push(Buffer.from('\n')), { code: 'PROTOCOL' })
  }
})

test('hostile bytes end the connection or change nothing: a command is answered rightly or rejected', async (t) => {
  const random = Random.announced(t)
  let answered = 0
  for (let round = 0; round < 300; round++) {
    const server = new Server(({ id }) => {
      server.stream.write(
        mutated(random, Buffer.from(`{"event": "STOP", "data": {}}\n{"return": {"right": true}, "id": ${id}}\n`)),
      )
      server.stream.end()
    })
    try {
      const qmp = await QmpClient.open(server.client)
      const result = (await qmp.execute('query')) as { right?: boolean } | null
      answered++
      t.true(typeof result !== 'undefined')
      qmp.close()
    } catch (error) {
      t.true(isDriverError(error, 'PROTOCOL', 'DISCONNECTED', 'COMMAND_FAILED'), String(error))
    }
    t.true(server.client.destroyed)
  }
  t.true(answered > 0 && answered < 300, `${answered} of 300 were answered`)
})

function mutated(random: Random, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  for (let change = random.below(4); change > 0; change--) copy[random.below(copy.length)] = random.below(256)
  return random.below(4) === 0 ? copy.subarray(0, random.below(copy.length)) : copy
}
