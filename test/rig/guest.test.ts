import test from 'ava'
import type { ExecutionContext } from 'ava'
import { createHash } from 'node:crypto'
import { BootedGuest } from '../../rig/guest/boot.ts'
import type { BootOptions } from '../../rig/guest/boot.ts'
import { guest } from '../../rig/guest/index.ts'
import { findCounterPage } from '../../rig/guest/page.ts'

/** The first test on a machine builds the guest. */
const testTimeoutMs = 600_000

const DATABASE = '/var/lib/workload/counter.db'

async function boot(t: ExecutionContext, options: BootOptions): Promise<BootedGuest> {
  t.timeout(testTimeoutMs)
  const built = await guest({ firmware: options.firmware === true })
  const started = performance.now()
  const booted = await BootedGuest.start(built, options)
  t.teardown(() => booted.close())
  await booted.console.ready()
  t.log(`ready after ${Math.round(performance.now() - started)} ms`)
  return booted
}

/** Memory read before, and disk read after, and the other way round: between them the workload only counts up. */
async function sees(t: ExecutionContext, booted: BootedGuest): Promise<void> {
  const first = await booted.console.counter(1)
  const later = await booted.console.counter(first.number + 20)
  t.true(later.guestMs > first.guestMs)
  const before = findCounterPage(booted.memory, booted.memoryBytes)
  const rows = await booted.console.run(`sqlite3 ${DATABASE} 'select count(*), max(n) from counter'`)
  const after = findCounterPage(booted.memory, booted.memoryBytes)
  const [count, highest] = rows.output.split('|').map(Number)
  t.is(count, highest, 'each number has its row')
  t.true(before!.committed <= highest && highest <= after!.attempted)
  t.true(highest >= later.number)
}

async function rowsAreRight(t: ExecutionContext, booted: BootedGuest): Promise<void> {
  const check = await booted.console.run(`sqlite3 ${DATABASE} 'pragma integrity_check'`)
  t.deepEqual(check, { code: 0, output: 'ok' })
  const payload = await booted.console.run(`sqlite3 ${DATABASE} 'select hex(substr(payload, -16)) from counter where n = 7'`)
  const expected = createHash('shake128', { outputLength: 1024 }).update('7').digest().subarray(-16)
  t.is(payload.output, expected.toString('hex').toUpperCase())
}

for (const machine of ['microvm', 'q35'] as const) {
  test.serial(`${machine}: boots, counts on the disk and in memory, answers commands`, async (t) => {
    const booted = await boot(t, { machine })
    await sees(t, booted)
    await rowsAreRight(t, booted)
    t.deepEqual(await booted.console.run('echo one; echo two >&2; exit 3'), { code: 3, output: 'one\ntwo' })
    t.regex((await booted.console.run('cat /proc/cmdline')).output, /workload=sqlite/)
  })
}

test.serial('q35: boots from its own disk, without a kernel from outside', async (t) => {
  const booted = await boot(t, { machine: 'q35', firmware: true })
  t.regex((await booted.console.run('cat /proc/cmdline')).output, /BOOT_IMAGE=\/boot\/vmlinuz/)
  await sees(t, booted)
})

test.serial('the command line chooses the workload', async (t) => {
  const booted = await boot(t, { machine: 'microvm', append: { workload: 'none' } })
  t.is((await booted.console.run('systemctl is-active workload.service')).output, 'inactive')
  t.is(findCounterPage(booted.memory, booted.memoryBytes), undefined)
})

test.serial('a second start of a closed guest finds nothing in its way', async (t) => {
  const booted = await boot(t, { machine: 'microvm', append: { workload: 'idle', intervalMs: 100 } })
  await booted.console.counter(3)
  await booted.close()
  await booted.close()
  t.throws(() => process.kill(booted.pid, 0), { code: 'ESRCH' })
  await t.throwsAsync(booted.console.run('true'), { code: 'CLOSED' })
})
