/** The console, over a socket with a path too long for an address. */
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import test from 'ava'
import { attachConsole } from '../../src/cli/console.ts'
import { SocketPath } from '../../src/daemon/socket-path.ts'
import { isCode } from '../../src/errors.ts'
import { scratchDirectory } from '../daemon/scratch.ts'

test.serial('the console ends with the machine, or when it is told to', async (t) => {
  const directory = join(scratchDirectory(t), 'deep/'.repeat(30))
  mkdirSync(directory, { recursive: true })
  const path = join(directory, 'console.sock')
  using short = new SocketPath(path)
  const server = createServer().listen(short.path)
  t.teardown(() => server.close())
  const attached = attachConsole(path, new AbortController().signal)
  const [socket] = await once(server, 'connection') as [Socket]
  socket.end()
  t.true(isCode(await t.throwsAsync(attached), 'MACHINE_GONE'))

  const abort = new AbortController()
  const again = attachConsole(path, abort.signal)
  await once(server, 'connection')
  abort.abort()
  t.true(isCode(await t.throwsAsync(again), 'ABORTED'))
  t.true(isCode(await t.throwsAsync(attachConsole(join(directory, 'none'), abort.signal)), 'MACHINE_GONE'))
})
