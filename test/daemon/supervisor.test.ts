/** A supervisor and the processes that it starts, over a fake host. */
import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { ControlClient } from '../../src/daemon/client.ts'
import { DaemonCaller } from '../../src/daemon/daemon-caller.ts'
import { startDaemon } from '../../src/daemon/launch.ts'
import { controlPaths, SocketPath } from '../../src/daemon/socket-path.ts'
import type { DaemonStatus } from '../../src/daemon/verb.ts'
import { isCode } from '../../src/errors.ts'
import { fakeStore, isAlive } from './scratch.ts'

async function supervised(t: ExecutionContext): Promise<{ store: string; caller: DaemonCaller; status: DaemonStatus }> {
  const store = fakeStore(t)
  const { client } = await startDaemon(store, new URL('./fake-daemon.ts', import.meta.url))
  const caller = new DaemonCaller(store, client)
  t.teardown(() => caller.close())
  return { store, caller, status: await caller.call('daemon status', {}) }
}

async function untilDead(pid: number): Promise<void> {
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 5))
}

test('another process serves after a kill; calls that only look do not notice', async (t) => {
  const { caller, status } = await supervised(t)
  t.not(status.pid, status.servingPid)
  t.like(status, { replacements: 0, survivesKills: true })
  for (let kill = 1; kill <= 3; kill += 1) {
    const { servingPid } = await caller.call('daemon status', {})
    process.kill(servingPid!, 'SIGKILL')
    await untilDead(servingPid!)
    t.deepEqual(await caller.call('images', {}), [])
    const after = await caller.call('daemon status', {})
    t.like(after, { pid: status.pid, startedMs: status.startedMs, replacements: kill })
    t.not(after.servingPid, servingPid)
  }
})

test('a process that waits for its turn gets ready for it, and the log says so', async (t) => {
  const { store, caller, status } = await supervised(t)
  const { log } = controlPaths(store)
  const standing = (): number[] =>
    [...readFileSync(log, 'utf8').matchAll(/process (\d+) stands by/g)].map(([, pid]) => Number(pid))
  while (standing().length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  process.kill(status.servingPid!, 'SIGKILL')
  await untilDead(status.servingPid!)
  const { servingPid } = await caller.call('daemon status', {})
  t.deepEqual(standing().slice(0, 1), [servingPid])
})

test('a call that changes something and was cut off is not made again, and its caller is told', async (t) => {
  const { caller, status } = await supervised(t)
  const failed = t.throwsAsync(caller.call('create', { image: 'web', base: ['/slow'] }))
  await caller.call('images', {})
  process.kill(status.servingPid!, 'SIGKILL')
  const error = await failed
  t.true(isCode(error, 'DAEMON'))
  t.regex(error?.message ?? '', /replaced before it answered "create"/)
  t.deepEqual(await caller.call('images', {}), [])
})

test('restart replaces the serving process and says which one serves now', async (t) => {
  const { caller, status } = await supervised(t)
  const after = await caller.call('daemon restart', {})
  t.like(after, { running: true, pid: status.pid, replacements: 1 })
  t.not(after.servingPid, status.servingPid)
  t.false(isAlive(status.servingPid!))
})

test('no call is cut off by a restart, nor made twice', async (t) => {
  const { store, caller, status } = await supervised(t)
  let isOver = false
  const names: string[] = []
  const makeImages = async (maker: number): Promise<void> => {
    for (let image = 0; !isOver; image += 1) {
      const name = `image-${maker}-${image}`
      // As commands do, each on its own connection, and as programs do, all on one.
      await using own = maker % 2 === 0 ? new DaemonCaller(store, (await ControlClient.connect(store))!) : null
      await (own ?? caller).call('create', { image: name })
      names.push(name)
    }
  }
  const makers = Promise.all([0, 1, 2, 3, 4, 5].map(makeImages))
  for (let restart = 1; restart <= 5; restart += 1) {
    await using other = new DaemonCaller(store, (await ControlClient.connect(store))!)
    t.like(await other.call('daemon restart', {}), { pid: status.pid, replacements: restart })
  }
  isOver = true
  await makers
  t.log(`${names.length} calls`)
  t.deepEqual(readFileSync(join(store, 'made'), 'utf8').trim().split('\n').sort(), names.sort())
})

test('a client that does not listen does not hold up a restart', async (t) => {
  const { store, caller, status } = await supervised(t)
  using path = new SocketPath(controlPaths(store).socket)
  const deaf = connect({ path: path.path, onread: { buffer: Buffer.alloc(1), callback: () => false } })
  t.teardown(() => deaf.destroy())
  await once(deaf, 'connect')
  while ((await caller.call('daemon status', {})).clients < 2) continue
  t.like(await caller.call('daemon restart', {}), { pid: status.pid, replacements: 1 })
})

test('SIGTERM, and stop, end all processes', async (t) => {
  const first = await supervised(t)
  process.kill(first.status.pid!, 'SIGTERM')
  await untilDead(first.status.pid!)
  t.false(isAlive(first.status.servingPid!))
  const second = await supervised(t)
  await second.caller.call('daemon stop', {})
  await untilDead(second.status.pid!)
  t.false(isAlive(second.status.servingPid!))
})

test('without its supervisor a serving process ends', async (t) => {
  const { status } = await supervised(t)
  process.kill(status.pid!, 'SIGKILL')
  await untilDead(status.servingPid!)
  t.false(isAlive(status.servingPid!))
})

test('processes that die at once are started ever more slowly, clients are told, and a cure is taken', async (t) => {
  const { store, caller, status } = await supervised(t)
  writeFileSync(join(store, 'crash'), '')
  process.kill(status.servingPid!, 'SIGKILL')
  await untilDead(status.servingPid!)
  const error = await t.throwsAsync(caller.call('images', {}))
  t.regex(error?.message ?? '', /cannot be kept alive/)
  t.true(isAlive(status.pid!))
  rmSync(join(store, 'crash'))
  for (let served = false; !served;) {
    await using client = await ControlClient.connect(store)
    served = await client!.call('images', {}).then(() => true, () => false)
  }
  t.like(await caller.call('daemon status', {}), { pid: status.pid })
})
