/** Requests that are carried out later than they come, or not at all. */
import test from 'ava'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs/promises'
import { ControlFile } from '../../fuse/index.ts'
import { Served } from './served.ts'

async function counts(control: ControlFile): Promise<{ postponedCount: number; faultCount: number }> {
  return JSON.parse((await control.poke()).toString()) as { postponedCount: number; faultCount: number }
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!await isSo()) await new Promise((resolve) => setTimeout(resolve, 10))
}

test.serial('what is postponed is asked again when the session is told to, and others go on meanwhile', async (t) => {
  t.timeout(480_000)
  const served = await Served.start(t, { isPostponing: true })
  await using control = await ControlFile.open(served.directory, served.controlName)
  // The kernel lets one at a time make names in a directory.
  await fs.mkdir(served.path('others'))
  let isWritten = false
  const writing = fs.writeFile(served.path('later'), Buffer.alloc(300_000, 'x')).then(() => (isWritten = true))
  for (let count = 0; count < 20; count++) await fs.writeFile(served.path('others', `file${count}`), 'at once')
  t.false(isWritten)
  // The first poke makes the session present it again.
  await until(async () => (await counts(control)).postponedCount > 0)
  await writing
  t.is((await fs.readFile(served.path('later'))).length, 300_000)
  t.like(await counts(control), { postponedCount: 0, faultCount: 0 })
})

test.serial('an asker that is killed gets its postponed request answered', async (t) => {
  t.timeout(480_000)
  const served = await Served.start(t, { isPostponing: true })
  const child = spawn('cat', [served.path('later')], { stdio: 'ignore' })
  await new Promise((resolve) => setTimeout(resolve, 200))
  t.is(child.exitCode, null)
  child.kill('SIGKILL')
  const [, signal] = await once(child, 'exit') as [number | null, string]
  t.is(signal, 'SIGKILL')
})
