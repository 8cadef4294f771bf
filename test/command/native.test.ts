/** The native transport through the command line and the daemon. */
import { join } from 'node:path'
import test from 'ava'
import type { MountSummary } from '../../src/daemon/host.ts'
import type { EpochSummary } from '../../src/image/types.ts'
import { onTransport, transports } from '../mount/transports.ts'
import { RealStore, shell } from './real-store.ts'

for (const transport of transports) {
  onTransport(transport, 'an image is mounted, synced, sealed, and mounted again after the daemon was killed', async (t) => {
    const store = await RealStore.make(t)
    const mnt = store.mountPoint()
    await store.json(['create', 'vm'])
    const words = ['mount', 'vm', mnt, '--transport', transport.name]
    t.is((await store.json<MountSummary>(words)).transport, transport.name)
    await shell(`cd ${mnt}; echo sealed > a; dd if=/dev/urandom of=large bs=1M count=20 status=none; sync a large`)
    const digest = await shell(`sha256sum < ${mnt}/large`)
    t.is((await store.json<{ epoch: EpochSummary }>(['seal', 'vm'])).epoch.number, 1)
    await shell(`cd ${mnt}; echo synced > b; sync b`)
    await store.killDaemon()
    t.is((await store.json<MountSummary>(words)).transport, transport.name)
    t.is(await shell(`cat ${join(mnt, 'a')} ${join(mnt, 'b')}; sha256sum < ${join(mnt, 'large')}`), `sealed\nsynced\n${digest}`)
    await store.json(['unmount', mnt])
    t.deepEqual(await store.json(['mounts']), [])
  })

  onTransport(transport, 'a mount in use is busy, goes on, and is unmounted later', async (t) => {
    const store = await RealStore.make(t)
    const mnt = store.mountPoint()
    await store.json(['create', 'vm'])
    await store.json(['mount', 'vm', mnt, '--transport', transport.name])
    const holder = shell(`exec 3> ${mnt}/held; while ! [ -e ${mnt}/go ]; do sleep 0.1; done; echo late >&3; cat ${mnt}/held`)
    await shell(`while ! [ -e ${mnt}/held ]; do sleep 0.1; done`)
    const busy = await store.run(['unmount', mnt])
    t.is(busy.code, 1)
    t.regex(busy.err, /in use/)
    t.is((await store.run(['vm', 'start', 'vm'])).code, 1, 'a machine needs the head for itself')
    await shell(`touch ${mnt}/go`)
    t.is(await holder, 'late\n')
    await store.json(['unmount', mnt])
  })
}

test('a transport that there is none of is refused with those that there are', async (t) => {
  const store = await RealStore.make(t)
  const { code, err } = await store.run(['mount', 'vm', store.mountPoint(), '--transport', 'pigeon'])
  t.is(code, 2)
  t.regex(err, /kernel, native/)
})
