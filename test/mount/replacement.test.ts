/** The serving process is killed under load: its mount's users see a pause, never an error nor wrong data. */
import {
  closeSync, constants, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmdirSync, unlinkSync, writeFileSync,
  writeSync,
} from 'node:fs'
import { statfs } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { FioVerify } from '../../bench/rig/fio-verify.ts'
import { KilledDaemon } from '../../bench/rig/killed-daemon.ts'
import { NamespaceLoad } from '../../bench/rig/namespace-load.ts'
import { crashesMax } from '../../src/daemon/limits.ts'
import { controlPaths } from '../../src/daemon/socket-path.ts'
import { Random } from '../random.ts'
import { started, startedWithHook } from './doomed.ts'
import { linkOpen, oTmpfile } from './unnamed.ts'

const kills = 20

async function killOften(t: ExecutionContext, daemon: KilledDaemon, random: Random): Promise<void> {
  for (let kill = 0; kill < kills; kill += 1) {
    await sleep(random.below(400))
    await daemon.kill()
  }
  const takeovers = daemon.takeovers()
  const unanswered = takeovers.filter(({ resent }) => resent > 0).length
  const repeated = takeovers.reduce((sum, each) => sum + each.repeated, 0)
  t.log(`${kills} kills, ${unanswered} left requests unanswered, ${repeated} of these requests had been carried out`)
  t.true(unanswered > 0)
}

test.serial('names change as if nothing happened while the serving process is killed', async (t) => {
  const random = Random.announced(t)
  const daemon = await started(t)
  const load = new NamespaceLoad(daemon.mountPoint, random.below(2 ** 31))
  t.teardown(() => load.kill())
  await killOften(t, daemon, random)
  const report = await load.finish()
  t.deepEqual(report.faults, [])
  t.true(report.operations > kills)
  t.is((await daemon.status()).replacements, kills)
  await daemon.stop()
})

test.serial('a serving process that ends by its own fault leaves the index to be made anew, any other does not', async (t) => {
  const daemon = await started(t)
  writeFileSync(`${daemon.mountPoint}/file`, 'kept')
  await daemon.call('seal', { image: 'image' })
  const stranger = `${daemon.store}/index/stranger`
  writeFileSync(stranger, '')
  await daemon.kill()
  t.true(existsSync(stranger))
  await daemon.kill('SIGABRT')
  t.false(existsSync(stranger))
  t.is(readFileSync(`${daemon.mountPoint}/file`, 'utf8'), 'kept')
  await daemon.stop()
})

test.serial('fio verifies all that it wrote while the serving process is killed', async (t) => {
  const random = Random.announced(t)
  const daemon = await started(t)
  mkdirSync(`${daemon.mountPoint}/data`)
  const fio = new FioVerify(`${daemon.mountPoint}/data`)
  t.teardown(() => fio.kill())
  await killOften(t, daemon, random)
  t.is(await fio.finish(), null)
  await daemon.stop()
})

test.serial('a file made without a name is linked by the next server, one that was unlinked is not', async (t) => {
  const daemon = await started(t)
  const path = (name: string): string => `${daemon.mountPoint}/${name}`
  const files = [openSync(daemon.mountPoint, constants.O_RDWR | oTmpfile, 0o600), openSync(path('unlinked'), 'w+')]
  const close = (): void => { for (const file of files.splice(0)) closeSync(file) }
  t.teardown(close)
  for (const file of files) writeSync(file, 'kept')
  unlinkSync(path('unlinked'))
  await daemon.kill()
  t.is(await linkOpen(files[1], path('unlinked')), 'ENOENT')
  t.is(await linkOpen(files[0], path('linked')), null)
  await daemon.kill()
  t.deepEqual(readdirSync(daemon.mountPoint), ['linked'])
  t.is(readFileSync(path('linked'), 'utf8'), 'kept')
  unlinkSync(path('linked'))
  t.is(await linkOpen(files[0], path('linked')), 'ENOENT')
  close()
  await daemon.stop()
})

test.serial('where the kernel cannot send again, mounts end with their process, and that is said', async (t) => {
  process.env.HOLDFAST_NO_RESEND = '1'
  t.teardown(() => delete process.env.HOLDFAST_NO_RESEND)
  const daemon = await started(t)
  t.like(await daemon.status(), { survivesKills: false })
  const file = openSync(`${daemon.mountPoint}/file`, 'w')
  await daemon.kill()
  t.deepEqual((await daemon.status()).mounts, [])
  t.throws(() => writeSync(file, 'x'), { code: 'ENOTCONN' })
  t.throws(() => closeSync(file), { code: 'ENOTCONN' })
  t.regex(readFileSync(controlPaths(daemon.store).log, 'utf8'), /will not outlive its serving process.*\n[^]*ended with the process/)
  await daemon.stop()
})

test.serial('a serving thread that crashes is replaced, and a mount whose threads crash again and again is given up', async (t) => {
  const { daemon, other } = await startedWithHook(t)
  writeFileSync(`${other}/kept`, 'kept')
  const file = openSync(`${daemon.mountPoint}/file`, 'w')
  for (let crash = 1; crash <= crashesMax; crash += 1) {
    mkdirSync(`${daemon.mountPoint}/crash`)
    // The thread ends between two requests, some hundred later.
    while ((await daemon.status()).replacements < crash) {
      await Promise.all(Array.from({ length: 400 }, () => statfs(daemon.mountPoint).catch(() => undefined)))
    }
    if (crash === crashesMax) break
    t.is((await daemon.status()).mounts.length, 2)
    writeSync(file, 'goes on')
    rmdirSync(`${daemon.mountPoint}/crash`)
  }
  t.deepEqual((await daemon.status()).mounts.map(({ image }) => image), ['other'])
  t.throws(() => writeSync(file, 'x'), { code: 'ENOTCONN' })
  t.throws(() => closeSync(file), { code: 'ENOTCONN' })
  t.is(readFileSync(`${other}/kept`, 'utf8'), 'kept')
  await daemon.call('mount', { image: 'image', directory: daemon.mountPoint })
  t.is(readFileSync(`${daemon.mountPoint}/file`, 'utf8'), 'goes on'.repeat(crashesMax - 1))
  await daemon.stop()
})

test.serial('a process that used up its devices for mounts is replaced when it has nothing to do', async (t) => {
  const daemon = await started(t)
  const directory = `${daemon.mountPoint}-more`
  mkdirSync(directory)
  await daemon.call('create', { image: 'more', base: [] })
  while ((await daemon.status()).replacements === 0) {
    await daemon.call('mount', { image: 'more', directory })
    await daemon.call('unmount', { directory, lazy: true })
  }
  t.deepEqual((await daemon.status()).mounts.map(({ image }) => image), ['image'])
  t.deepEqual(readdirSync(daemon.mountPoint), [])
  await daemon.stop()
})
