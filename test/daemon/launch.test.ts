/** Starting daemons, and their log. */
import { spawn } from 'node:child_process'
import { closeSync, constants, existsSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import test from 'ava'
import { DaemonLog } from '../../src/daemon/daemon-log.ts'
import { startDaemon } from '../../src/daemon/launch.ts'
import { controlPaths } from '../../src/daemon/socket-path.ts'
import { isCode } from '../../src/errors.ts'
import { daemonPid, fakeStore, isAlive, scratchDirectory } from './scratch.ts'

const entry = new URL('./fake-daemon.ts', import.meta.url)

test('a daemon is started once, also where the path is longer than a socket’s address', async (t) => {
  const store = fakeStore(t, `${'deep/'.repeat(30)}store`)
  rmSync(join(store, 'daemon'), { recursive: true })
  const first = await startDaemon(store, entry)
  const second = await startDaemon(store, entry)
  t.deepEqual([first.started, second.started], [true, false])
  const { directory, socket } = controlPaths(store)
  t.deepEqual([statSync(directory).mode & 0o777, statSync(socket).mode & 0o777], [0o700, 0o600])
  const pid = daemonPid(store) ?? 0
  t.like(await second.client.call('daemon status', {}), { pid, clients: 2 })
  const session = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')[3]
  t.is(Number(session), pid, 'it leads a session of its own')
  t.regex(readFileSync(`/proc/${pid}/environ`, 'utf8'), /UV_THREADPOOL_SIZE=16/)
  await first.client.call('daemon stop', {})
  await Promise.all([first.client.closed, second.client.closed])
  while (isAlive(pid)) await sleep(5)
  t.false(existsSync(socket))
})

test('a daemon that is dying and takes no more clients is not taken for one that runs', async (t) => {
  const store = fakeStore(t)
  const dying = createServer((socket) => {
    dying.close()
    socket.destroy()
  })
  await new Promise<void>((resolve) => dying.listen(controlPaths(store).socket, resolve))
  const { client, started } = await startDaemon(store, entry)
  t.true(started)
  t.like(await client.call('daemon status', {}), { running: true })
  await client.call('daemon stop', {})
  await client.closed
})

test('a daemon that dies without a word is told with the end of its log', async (t) => {
  const store = fakeStore(t)
  const broken = join(scratchDirectory(t), 'broken.mjs')
  writeFileSync(broken, 'throw new Error("broken on purpose")')
  const error = await t.throwsAsync(startDaemon(store, pathToFileURL(broken)))
  t.true(isCode(error, 'DAEMON'))
  t.regex(error?.message ?? '', /broken on purpose/)
})

test('a daemon waits for the root of its keys, however late it comes', async (t) => {
  const store = fakeStore(t)
  const child = spawn(process.execPath, [fileURLToPath(entry), store, '3'], { stdio: ['pipe', 'ignore', 'inherit', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  const word = text(child.stdio[3] as Readable)
  while (!isNonBlocking(child.pid)) await sleep(5)
  child.stdin?.end('late\n')
  t.deepEqual(JSON.parse(await word), { ready: { pid: child.pid } })
})

test('a directory that is no store is left as it is', async (t) => {
  const directory = join(scratchDirectory(t), 'none')
  mkdirSync(directory)
  t.true(isCode(await t.throwsAsync(startDaemon(directory, entry)), 'NOT_FOUND'))
  t.false(existsSync(join(directory, 'daemon')))
})

test('a full log is copied aside and goes on in the same open file', (t) => {
  const path = join(scratchDirectory(t), 'log')
  const fd = openSync(path, 'a')
  const log = new DaemonLog(path, fd, 1000)
  for (let line = 0; line < 40; line++) log.write(`line ${line}`)
  closeSync(fd)
  t.true(statSync(path).size <= 1000)
  t.true(statSync(`${path}.old`).size <= 1100)
  const kept = readFileSync(`${path}.old`, 'utf8') + readFileSync(path, 'utf8')
  t.true(kept.endsWith('line 39\n'))
  t.regex(kept, /^\d{4}-\d\d-\d\dT[\d:.]+Z \d+ line \d+\n/)
})

test('lines that cannot be written are counted, not thrown', (t) => {
  const path = join(scratchDirectory(t), 'log')
  const fd = openSync('/dev/full', 'a')
  const log = new DaemonLog(path, fd)
  t.notThrows(() => log.write('lost'))
  closeSync(fd)
})

/** Its standard input: so it is as soon as Node has made a stream of it. */
function isNonBlocking(pid?: number): boolean {
  const flags = /^flags:\s+([0-7]+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/0`, 'latin1'))
  return (parseInt(flags![1], 8) & constants.O_NONBLOCK) !== 0
}
