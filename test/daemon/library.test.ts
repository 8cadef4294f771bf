/** The library's objects, the same in process and through a daemon, over a fake host. */
import test from 'ava'
import { DaemonCaller } from '../../src/daemon/daemon-caller.ts'
import { HostCaller } from '../../src/daemon/host-caller.ts'
import { startDaemon } from '../../src/daemon/launch.ts'
import { Store } from '../../src/daemon/store.ts'
import { isCode } from '../../src/errors.ts'
import { openFakeHost } from './fake-host.ts'
import { fakeStore } from './scratch.ts'

const ways = {
  'in process': async (store: string) => new HostCaller(await openFakeHost(store, { thread: false })),
  'through the daemon': async (store: string) =>
    new DaemonCaller(store, (await startDaemon(store, new URL('./fake-daemon.ts', import.meta.url))).client),
}

for (const [way, open] of Object.entries(ways)) {
  test(`a store ${way}`, async (t) => {
    const directory = fakeStore(t)
    const store = new Store(directory, await open(directory))
    t.teardown(() => store.close())
    const image = await store.createImage('web')
    t.like(await image.seal({ note: 'first' }), { epoch: { image: 'web', number: 1, note: 'first' } })
    t.deepEqual((await image.log()).map(({ number }) => number), [0, 1])
    t.like(await store.images(), { 0: { image: 'web', epochs: 2 }, length: 1 })
    t.like(await image.mount('relative'), { directory: `${process.cwd()}/relative` })
    t.is((await store.mounts()).length, 1)
    await store.unmount('relative')
    t.true(isCode(await t.throwsAsync(store.unmount('relative')), 'NOT_FOUND'))
    t.like(await image.startMachine({ memoryBytes: 2 ** 30 }), { state: 'running', memoryBytes: 2 ** 30 })
    t.like(await image.checkpoint(), { pauseMs: 5 })
    await image.scheduleCheckpoints(5000)
    t.like(await image.machine(), { image: 'web' })
    await image.stopMachine()
    t.is(await image.machine(), null)
    t.true(isCode(await t.throwsAsync(store.createImage('../x')), 'BAD_NAME'))
    t.true(isCode(await t.throwsAsync(store.image('none').log()), 'NOT_FOUND'))
    t.true(isCode(await t.throwsAsync(image.show(-1)), 'USAGE'))
    const abort = new AbortController()
    const slow = store.createImage('b', { base: ['slow'], signal: abort.signal, progress: () => abort.abort() })
    t.true(isCode(await t.throwsAsync(slow), 'ABORTED'))
    await store.close()
    await store.close()
  })
}
