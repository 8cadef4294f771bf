/** A store is locked, and the pid file tells of a daemon that lives, or of one that was killed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { openAfterDeath } from '../../src/daemon/dying-daemon.ts'
import { controlPaths } from '../../src/daemon/socket-path.ts'
import { HoldfastError } from '../../src/errors.ts'
import { fakeStore, isAlive } from './scratch.ts'

/** A process that has ended, which its parent does not notice before the test ends. */
async function zombie(t: ExecutionContext): Promise<number> {
  const script = 'import os, time\npid = os.fork() or os._exit(0)\nprint(pid, flush=True)\ntime.sleep(600)'
  const parent = spawn('python3', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => parent.kill('SIGKILL'))
  const [line] = await once(parent.stdout, 'data') as [Buffer]
  const pid = Number(line.toString())
  while (isAlive(pid)) await sleep(5)
  t.notThrows(() => process.kill(pid, 0), 'signals still reach it')
  return pid
}

/** Opens a store that is locked the first two times. How often it was tried, and what came of it. */
async function opened(t: ExecutionContext, daemonPid: number | null): Promise<[tries: number, outcome: unknown]> {
  const store = fakeStore(t)
  if (daemonPid !== null) writeFileSync(controlPaths(store).pid, `${daemonPid}\n`)
  let tries = 0
  const outcome = await openAfterDeath(store, async () => {
    tries += 1
    if (tries < 3) throw new HoldfastError('LOCKED', 'held by another')
    return 'open'
  }).catch((error: HoldfastError) => error.code)
  return [tries, outcome]
}

test('a store is waited for while what its killed daemon left holds it', async (t) => {
  const ended = spawn('true')
  await once(ended, 'exit')
  t.deepEqual(await opened(t, ended.pid!), [3, 'open'])
})

test('a killed daemon that nobody has reaped yet is no living one', async (t) => {
  t.deepEqual(await opened(t, await zombie(t)), [3, 'open'])
})

test('a store that a living daemon holds, or somebody who is no daemon, is locked', async (t) => {
  const living = spawn('sleep', ['600'])
  t.teardown(() => living.kill('SIGKILL'))
  t.deepEqual(await opened(t, living.pid!), [1, 'LOCKED'])
  t.deepEqual(await opened(t, null), [1, 'LOCKED'])
})
