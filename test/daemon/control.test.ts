/** The control socket, served in this process over a fake host. */
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import test, { type ExecutionContext } from 'ava'
import { ControlClient } from '../../src/daemon/client.ts'
import { Daemon } from '../../src/daemon/daemon.ts'
import { clientCallsMax, clientsMax, requestBytesMax } from '../../src/daemon/limits.ts'
import { controlPaths, SocketPath } from '../../src/daemon/socket-path.ts'
import { controlProtocol } from '../../src/daemon/version.ts'
import type { Progress } from '../../src/image/types.ts'
import { isCode } from '../../src/errors.ts'
import { Random } from '../random.ts'
import { openFakeHost } from './fake-host.ts'
import { fakeStore } from './scratch.ts'

const greeting = `{"hello":{"protocol":${controlProtocol},"version":"test","pid":1}}\n`

async function served(t: ExecutionContext<unknown>, name?: string): Promise<{ store: string; client: ControlClient; logged: string[] }> {
  const store = fakeStore(t, name)
  const logged: string[] = []
  const daemon = await Daemon.start(store, openFakeHost, (line) => logged.push(line))
  const client = await clientOf(t, store)
  t.teardown(async () => {
    await daemon.stop({ force: true }).catch(() => undefined)
    await daemon.ended
  })
  return { store, client, logged }
}

async function clientOf(t: ExecutionContext<unknown>, store: string): Promise<ControlClient> {
  const client = await ControlClient.connect(store)
  if (client === null) throw new Error('no daemon')
  t.teardown(() => client.close())
  return client
}

function rawSocket(t: ExecutionContext<unknown>, store: string): Socket {
  using path = new SocketPath(controlPaths(store).socket)
  const socket = connect(path.path)
  // A daemon that hung up on us while we wrote is what some tests are about.
  socket.on('error', () => undefined)
  t.teardown(() => socket.destroy())
  return socket
}

/** Everything the daemon says until it hangs up. */
async function lastWord(socket: Socket): Promise<{ error?: { code: string } }> {
  const lines = (await text(socket)).trim().split('\n')
  return JSON.parse(lines[lines.length - 1]) as { error?: { code: string } }
}

test('verbs run and answer, errors keep their code', async (t) => {
  const { client, store } = await served(t)
  t.like(await client.call('create', { image: 'web' }), { image: 'web', epochs: 1 })
  t.deepEqual((await client.call('images', {}) as unknown[]).length, 1)
  t.true(isCode(await t.throwsAsync(client.call('log', { image: 'none' })), 'NOT_FOUND'))
  t.true(isCode(await t.throwsAsync(client.call('create', { image: '../x' })), 'BAD_NAME'))
  t.true(isCode(await t.throwsAsync(client.call('replica add', {})), 'USAGE'))
  t.true(isCode(await t.throwsAsync(client.call('init', {})), 'EXISTS'))
  t.is(statSync(controlPaths(store).socket).mode & 0o777, 0o600)
})

test('a defect is told as such and its stack is logged', async (t) => {
  const { client, logged } = await served(t)
  const error = await t.throwsAsync(client.call('create', { image: 'a', base: ['/defect'] }))
  t.true(isCode(error, 'DAEMON'))
  t.regex(logged.join('\n'), /TypeError: a defect\n.*at /)
  t.deepEqual(await client.call('images', {}), [])
})

test('two clients see one store', async (t) => {
  const { client, store } = await served(t)
  const other = await clientOf(t, store)
  await Promise.all([client.call('create', { image: 'a' }), other.call('create', { image: 'b' })])
  t.is((await other.call('images', {}) as unknown[]).length, 2)
  t.like(await client.call('daemon status', {}), { clients: 2, pid: process.pid, servingPid: process.pid, running: true })
})

test('a long call reports progress and ends when it is aborted', async (t) => {
  const { client } = await served(t)
  const abort = new AbortController()
  const seen: Progress[] = []
  const progress = (each: Progress): void => {
    seen.push(each)
    abort.abort()
  }
  const call = client.call('create', { image: 'a', base: ['/slow'] }, { signal: abort.signal, progress })
  t.true(isCode(await t.throwsAsync(call), 'ABORTED'))
  t.like(seen[0], { step: 'take in', unit: 'files' })
  t.true(isCode(await t.throwsAsync(client.call('images', {}, { signal: abort.signal })), 'ABORTED'))
})

test('the calls of a client that goes away are aborted', async (t) => {
  const { client, store } = await served(t)
  const leaving = await clientOf(t, store)
  const began = Promise.withResolvers<void>()
  const call = leaving.call('create', { image: 'a', base: ['/slow'] }, { progress: () => began.resolve() })
  await began.promise
  t.true(isCode(await t.throwsAsync(client.call('daemon stop', {})), 'BUSY'))
  await leaving.close()
  t.true(isCode(await t.throwsAsync(call), 'ABORTED'))
  // Refused while the call lives; the call ends by the disconnection alone.
  for (;;) {
    try {
      await client.call('daemon stop', {})
      break
    } catch (error) {
      t.true(isCode(error, 'BUSY'))
    }
  }
})

test('a detached call outlives its client, and ends with the daemon', async (t) => {
  const { client, store } = await served(t)
  const leaving = await clientOf(t, store)
  const began = Promise.withResolvers<void>()
  const options = { detached: true, progress: () => began.resolve() }
  const call = leaving.call('create', { image: 'a', base: ['/slow'] }, options)
  await began.promise
  await leaving.close()
  await t.throwsAsync(call)
  while ((await client.call('daemon status', {}) as { clients: number }).clients > 1) continue
  const refused = await t.throwsAsync(client.call('daemon stop', {}))
  t.regex(refused?.message ?? '', /"create" is under way/)
  t.like(await client.call('daemon stop', { force: true }), { running: false })
})

test('the calls of one client and the clients are bounded', async (t) => {
  const { client, store } = await served(t)
  const abort = new AbortController()
  const calls = Array.from({ length: clientCallsMax }, (_, index) =>
    client.call('create', { image: `a${index}`, base: ['/slow'] }, { signal: abort.signal }))
  t.true(isCode(await t.throwsAsync(client.call('images', {})), 'BUSY'))
  abort.abort()
  for (const call of calls) t.true(isCode(await t.throwsAsync(call), 'ABORTED'))
  const sockets = Array.from({ length: clientsMax }, () => rawSocket(t, store))
  t.like(await lastWord(sockets[clientsMax - 1]), { error: { code: 'BUSY' } })
  t.deepEqual(await client.call('images', {}), [])
})

test('another protocol is told to restart the daemon, and nothing is run', async (t) => {
  const { client, store } = await served(t)
  const socket = rawSocket(t, store)
  socket.write(`{"hello":{"protocol":${controlProtocol + 1},"version":"9.9.9","pid":1}}\n`)
  socket.write('{"id":1,"verb":"create","args":{"image":"a"}}\n')
  const word = await lastWord(socket)
  t.like(word, { error: { code: 'DAEMON' } })
  t.regex(JSON.stringify(word), /restart the daemon/)
  t.deepEqual(await client.call('images', {}), [])
})

test('hostile lines are answered with an error and a closed connection; others are served on', async (t) => {
  const random = Random.announced(t)
  const { client, store } = await served(t)
  const hostile: (() => string | Buffer)[] = [
    () => random.bytes(1 + random.below(200)),
    () => `${greeting}${'['.repeat(random.below(100_000))}\n`,
    () => `${greeting}{"id":${random.pick(['-1', '"x"', '1.5', 'null', '{}'])},"verb":"images"}\n`,
    () => `${greeting}{"id":1}\n`,
    () => `${greeting}{"id":1,"verb":"create","args":{"image":"a","base":["/slow"]}}\n{"id":1,"verb":"images"}\n`,
    () => `{"id":1,"verb":"images"}\n`,
    () => `${greeting}"hello"\n`,
    () => `${greeting}{"hello":7}\n`,
    () => Buffer.from(`${greeting}\xff\xfe\n`, 'latin1'),
    () => `${greeting}{"id":1,"verb":"create","args":{"image":"${'x'.repeat(requestBytesMax)}`,
  ]
  for (let round = 0; round < 60; round++) {
    const socket = rawSocket(t, store)
    const bytes = hostile[round % hostile.length]()
    socket.write(bytes)
    socket.write('\n')
    t.like(await lastWord(socket), { error: { code: 'DAEMON' } }, `round ${round}`)
    t.deepEqual(await client.call('images', {}), [])
  }
})

test('a truncated request and an odd verb hurt no one', async (t) => {
  const { client, store } = await served(t)
  const socket = rawSocket(t, store)
  await once(socket, 'connect')
  socket.end(`${greeting}{"id":1,"verb":"create","args":{"ima`)
  await once(socket.resume(), 'close')
  const other = rawSocket(t, store)
  other.end(`${greeting}{"id":1,"verb":{"x":1}}\n{"id":2,"verb":"__proto__"}\n{"id":3,"verb":"images","args":[]}\n`)
  t.deepEqual((await text(other)).match(/"code":"USAGE"/g)?.length, 3)
  t.deepEqual(await client.call('images', {}), [])
})

test('a store whose path is longer than a socket’s address', async (t) => {
  const { client, store } = await served(t, `${'deep/'.repeat(30)}store`)
  t.true(controlPaths(store).socket.length > 150)
  t.deepEqual(await client.call('images', {}), [])
})

test('a daemon stops when told, hangs up, and leaves no socket', async (t) => {
  const { client, store } = await served(t)
  await client.call('mount', { image: 'a', directory: '/mnt' })
  const refused = await t.throwsAsync(client.call('daemon stop', {}))
  t.like(refused, { code: 'BUSY', info: { mounts: [{ image: 'a', directory: '/mnt' }] } })
  t.deepEqual(await client.call('images', {}), [])
  t.like(await client.call('daemon stop', { force: true }), { running: false })
  await client.closed
  t.is(await ControlClient.connect(store), null)
  t.true(isCode(await t.throwsAsync(client.call('images', {})), 'DAEMON'))
})
