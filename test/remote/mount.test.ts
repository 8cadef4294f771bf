/** A mounted image whose chunks are on a replica only: what waits, who goes on meanwhile, and how waiting ends. */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { Buffer } from 'node:buffer'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import * as files from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemEnv } from '../../src/env/system.ts'
import { epochIdentityOf } from '../../src/format/epoch.ts'
import { ImageFiles } from '../../src/image/image-files.ts'
import { openLocalEngine } from '../../src/image/local-engine.ts'
import { DirectoryReplica } from '../../src/replica/directory.ts'
import { initStore, readIdentity } from '../../src/store/identity.ts'
import { StoreLayout } from '../../src/store/layout.ts'
import { ServedStore, scratch } from '../mount/served.ts'
import type { ServedMount } from '../mount/served.ts'
import { seed } from './seed.ts'

const env = systemEnv()

interface Hollow {
  readonly mount: ServedMount
  readonly contents: Buffer
  /** Takes the replica away, and gives it back. */
  hide(): void
  show(): void
}

async function hollow(t: ExecutionContext): Promise<Hollow> {
  const parent = scratch((done) => t.teardown(done))
  const contents = Buffer.alloc(2_000_000)
  for (let at = 0; at < contents.length; at += 5) contents.writeUInt8((at * at) % 239, at)
  const base = join(parent, 'base')
  fs.mkdirSync(join(base, 'directory'), { recursive: true })
  fs.writeFileSync(join(base, 'disk'), contents)
  for (let count = 0; count < 300; count++) fs.writeFileSync(join(base, 'directory', `file ${count}`), `contents ${count}`)
  const lost = join(parent, 'lost')
  initStore(env, lost)
  {
    await using engine = await openLocalEngine(lost)
    await engine.createImage({ image: 'vm', base: [base] })
  }
  const root = join(parent, 'replica')
  fs.mkdirSync(root)
  await using replica = new DirectoryReplica(env, root)
  await seed(replica, lost, 'vm')
  const store = join(parent, 'store')
  initStore(env, store, { domain: { domainId: readIdentity(env, new StoreLayout(lost)).domainId, keys: null } })
  const served = await ServedStore.start(t, { directory: store })
  await served.call('useReplicas', { urls: [replica.url] })
  const image = new ImageFiles(env, lost, 'vm', null)
  const { id, createdMs } = image.identity()
  const records = [[...epochIdentityOf(fs.readFileSync(image.layout.epoch(0)))]].map((bytes) => ({ type: 'Buffer', data: bytes }))
  await served.call('installRecord', { image: 'vm', id: id.toString('hex'), createdMs, records })
  const mount = await served.mount('vm', { directory: fs.mkdtempSync(join(parent, 'mnt-')) })
  return { mount, contents, hide: () => fs.renameSync(root, `${root}.away`), show: () => fs.renameSync(`${root}.away`, root) }
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!await isSo()) await sleep(20)
}

test.serial('files, names and attributes of a hollow image are what they were; new ones are made beside them', async (t) => {
  t.timeout(480_000)
  const { mount, contents } = await hollow(t)
  t.is((await files.readdir(mount.path('directory'))).length, 300)
  t.true((await files.readFile(mount.path('disk'))).equals(contents))
  t.is(await files.readFile(mount.path('directory', 'file 123'), 'utf8'), 'contents 123')
  await files.rename(mount.path('directory', 'file 7'), mount.path('directory', 'renamed'))
  await files.link(mount.path('directory', 'file 8'), mount.path('linked'))
  await files.unlink(mount.path('directory', 'file 9'))
  await files.truncate(mount.path('directory', 'file 10'), 3)
  await files.writeFile(mount.path('directory', 'new'), 'new')
  const handle = await files.open(mount.path('disk'), 'r+')
  await handle.write(Buffer.from('over'), 0, 4, 1_500_000)
  await handle.sync()
  await handle.close()
  await mount.seal()
  const expected = Buffer.from(contents)
  expected.write('over', 1_500_000)
  t.true((await files.readFile(mount.path('disk'))).equals(expected))
  t.is(await files.readFile(mount.path('directory', 'renamed'), 'utf8'), 'contents 7')
  t.is(await files.readFile(mount.path('linked'), 'utf8'), 'contents 8')
  t.is(await files.readFile(mount.path('directory', 'file 10'), 'utf8'), 'con')
  t.is((await files.readdir(mount.path('directory'))).length, 300)
  t.like(await mount.statistics(), { postponed: 0 })
})

test.serial('while a replica is away its readers wait and others go on; when it comes back they get their bytes', async (t) => {
  t.timeout(480_000)
  const { mount, contents, hide, show } = await hollow(t)
  await files.writeFile(mount.path('here'), 'here')
  await files.stat(mount.path('disk'))
  hide()
  let isRead = false
  const reading = files.readFile(mount.path('disk')).then((bytes) => {
    isRead = true
    return bytes
  })
  await until(async () => (await mount.statistics()).postponed > 0)
  t.is(await files.readFile(mount.path('here'), 'utf8'), 'here')
  await files.writeFile(mount.path('here too'), 'also')
  await mount.seal()
  t.false(isRead)
  show()
  t.true((await reading).equals(contents))
})

test.serial('a signal that its asker handles does not fail what waits', async (t) => {
  t.timeout(480_000)
  const { mount, hide, show } = await hollow(t)
  hide()
  // Unlike Node, Perl does not open again on EINTR.
  const reads = `$SIG{USR2} = sub {}; sysopen(F, '${mount.path('directory', 'file 123')}', 0) or die "$!"; print <F>`
  const child = spawn('perl', ['-e', reads], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (text) => (said += String(text)))
  await until(async () => (await mount.statistics()).postponed > 0)
  for (let count = 0; count < 5; count++) {
    child.kill('SIGUSR2')
    await sleep(20)
  }
  show()
  const [code] = await once(child, 'close') as [number | null]
  t.is(code, 0)
  t.is(said, 'contents 123')
})

test.serial('a reader that is killed while it waits ends', async (t) => {
  t.timeout(480_000)
  const { mount, hide } = await hollow(t)
  await files.stat(mount.path('disk'))
  hide()
  const child = spawn('cat', [mount.path('disk')], { stdio: 'ignore' })
  await until(async () => (await mount.statistics()).postponed > 0)
  child.kill('SIGKILL')
  const [, signal] = await once(child, 'exit') as [number | null, string]
  t.is(signal, 'SIGKILL')
})
