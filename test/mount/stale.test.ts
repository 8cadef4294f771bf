/** Mounts that a dead daemon left, and mounts whose server hangs, are taken away. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { KilledDaemon } from '../../bench/rig/killed-daemon.ts'
import { mountAt } from '../../fuse/index.ts'
import { startDaemon } from '../../src/daemon/launch.ts'
import { controlPaths } from '../../src/daemon/socket-path.ts'
import { isAlive } from '../daemon/scratch.ts'
import { started, startedWithHook } from './doomed.ts'

/** Supervisor and all: as a machine that loses its processes. */
async function killWhole(daemon: KilledDaemon): Promise<void> {
  const { pid, servingPid } = await daemon.status()
  daemon.abandon()
  while (isAlive(pid!) || isAlive(servingPid!)) await sleep(5)
}

/** It waits for the answer to a request, or for its turn to make one. */
function isInMount(pid: number): boolean {
  return /fuse|request_wait_answer/.test(readFileSync(`/proc/${pid}/wchan`, 'latin1'))
}

test.serial('a mount that a killed daemon left is taken away by the next, which can mount there again', async (t) => {
  const daemon = await started(t)
  writeFileSync(`${daemon.mountPoint}/file`, 'kept', { flush: true })
  await killWhole(daemon)
  t.regex(String(t.throws(() => readdirSync(daemon.mountPoint))), /ENOTCONN|ECONNABORTED/)
  const { client } = await startDaemon(daemon.store)
  t.teardown(() => client.close())
  t.is(mountAt(daemon.mountPoint), undefined)
  t.regex(readFileSync(controlPaths(daemon.store).log, 'utf8'), /"type":"stale"/)
  await daemon.call('mount', { image: 'image', directory: daemon.mountPoint })
  t.is(readFileSync(`${daemon.mountPoint}/file`, 'utf8'), 'kept')
  await daemon.stop()
})

test.serial('one command takes away what the daemons of other stores left, and no more', async (t) => {
  const [dead, other] = [await started(t), await started(t)]
  await killWhole(dead)
  const clean = { below: dead.mountPoint.slice(0, dead.mountPoint.lastIndexOf('/')) }
  t.deepEqual(await other.call('clean', clean), { directories: [dead.mountPoint] })
  t.deepEqual(await other.call('clean', clean), { directories: [] })
  t.deepEqual(await other.call('clean', { below: `${other.mountPoint}/..` }), { directories: [] })
  t.deepEqual(readdirSync(other.mountPoint), [])
  await other.stop()
})

test.serial('a mount whose serving thread hangs is ended by force, and its users get errors', async (t) => {
  const { daemon, other } = await startedWithHook(t)
  writeFileSync(`${daemon.mountPoint}/file`, 'kept')
  const user = spawn('mkdir', [`${daemon.mountPoint}/hang`], { stdio: ['ignore', 'ignore', 'pipe'] })
  t.teardown(() => user.kill('SIGKILL'))
  const ended = once(user, 'exit')
  while (!isInMount(user.pid!)) await sleep(5)
  await daemon.call('unmount', { directory: daemon.mountPoint, force: true })
  t.deepEqual(await ended, [1, null])
  writeFileSync(`${other}/file`, 'goes on')
  await daemon.call('mount', { image: 'image', directory: daemon.mountPoint })
  t.is(readFileSync(`${daemon.mountPoint}/file`, 'utf8'), 'kept')
  await daemon.stop()
})
