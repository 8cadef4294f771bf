import test from 'ava'
import { execFileSync, fork, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Leftovers, runVariable } from '../run/leftovers.ts'
import { Tally } from '../run/tally.ts'

test('the report of ava is counted: passed, failed, crashed, hanging, skipped', (t) => {
  const tally = new Tally()
  const report = [
    '', '  - [skip] a › skipped', '  ✔ a › good (12ms)', '    ℹ ✔ hello', '  ✘ [fail]: a › bad Error', '  Uncaught exception in b',
    '  ✘ b exited with a non-zero exit code: 1', '  1 tests were pending in c', '  ◌ c › hang', '  1 test failed',
  ]
  report.forEach((line) => tally.line(line))
  t.is(tally.toString(), '1 passed, 3 failed, 1 skipped')
  t.deepEqual(tally.failed, ['a › bad Error', 'b exited with a non-zero exit code: 1', 'c › hang'])
})

// Other tests make dead mounts at the same time, which are none of these tests' business.
test('a process and a file that a run left are named and removed; others are left alone', async (t) => {
  const runId = `test-${process.pid}`
  const directory = mkdtempSync(join(tmpdir(), 'left-'))
  const leftovers = new Leftovers(runId, directory, directory)
  const marked = spawn('sleep', ['600'], { env: { ...process.env, [runVariable]: runId } })
  const other = spawn('sleep', ['600'])
  t.teardown(() => [marked, other].forEach((child) => child.kill('SIGKILL')))
  const ended = once(marked, 'exit')
  writeFileSync(join(directory, 'forgotten'), '')
  const found = await leftovers.clean()
  t.deepEqual(found, [`process ${marked.pid}: sleep 600`, `file ${directory}/forgotten`])
  t.deepEqual(await ended, [null, 'SIGKILL'])
  t.is(other.exitCode, null)
  t.false(existsSync(directory))
})

test('a mount that nobody serves any more is named and removed, wherever it is', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'left-'))
  const elsewhere = mkdtempSync(join(tmpdir(), 'else-'))
  const leftovers = new Leftovers(`mount-${process.pid}`, directory, elsewhere)
  deadMount(elsewhere)
  t.teardown(() => {
    spawnSync('umount', ['-l', elsewhere])
    rmSync(elsewhere, { recursive: true })
  })
  t.deepEqual(await leftovers.clean(), [`mount ${elsewhere}`])
  t.false(readFileSync('/proc/self/mountinfo', 'utf8').includes(elsewhere))
})

/** Mounts with a connection that is closed at once. */
function deadMount(point: string): void {
  const options = 'fd=3,rootmode=40000,user_id=0,group_id=0'
  execFileSync('sh', ['-c', `exec 3<>/dev/fuse; mount -i -t fuse.holdfast -o ${options} holdfast "$0"`, point])
}

test('a clean run has no leftovers', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'left-'))
  t.deepEqual(await new Leftovers(`none-${process.pid}`, directory, directory).clean(), [])
  t.false(existsSync(directory))
})

for (const end of ['SIGTERM', 'SIGINT', 'disconnect', 'exit', 'error'] as const) {
  test(`what a test made goes with its process, the last first: ${end}`, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'left-'))
    const script = join(directory, 'making.mjs')
    writeFileSync(script, `
      import { mkdirSync, rmdirSync } from 'node:fs'
      import { undone } from '${new URL('../run/undone.ts', import.meta.url).href}'
      const make = (path) => (mkdirSync(path), undone(() => rmdirSync(path)))
      make('${directory}/a')
      undone(() => { throw new Error('this one fails') })
      make('${directory}/a/b')
      make('${directory}/a/c')()
      process.on('message', (end) => { if (end === 'exit') process.exit(); throw new Error('on purpose') })
      process.send('made')
    `)
    const child = fork(script, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: ['--no-warnings'] })
    t.teardown(() => child.kill('SIGKILL'))
    await once(child, 'message')
    t.true(existsSync(join(directory, 'a', 'b')))
    t.false(existsSync(join(directory, 'a', 'c')))
    const ended = once(child, 'exit')
    if (end === 'disconnect') child.disconnect()
    else if (end === 'exit' || end === 'error') child.send(end)
    else child.kill(end)
    const [code, signal] = await ended
    t.deepEqual([code, signal], end === 'exit' ? [0, null] : end === 'error' ? [1, null] : [null, end === 'SIGINT' ? end : 'SIGTERM'])
    t.deepEqual(readdirSync(directory), ['making.mjs'])
    rmSync(directory, { recursive: true })
  })
}
