/** The library's objects, the same in process and through a daemon, over a fake host. */
import test from 'ava'
import { DaemonCaller } from '../../src/daemon/daemon-caller.ts'
import { HostCaller } from '../../src/daemon/host-caller.ts'
import { startDaemon } from '../../src/daemon/launch.ts'
import type { VerbCaller } from '../../src/daemon/caller.ts'
import { Image } from '../../src/daemon/image.ts'
import { Store } from '../../src/daemon/store.ts'
import { checkedArguments, verbNamed, verbNames } from '../../src/daemon/verbs.ts'
import { isCode } from '../../src/errors.ts'
import { openFakeHost } from './fake-host.ts'
import { fakeStore } from './scratch.ts'

const ways = {
  'in process': async (store: string) => new HostCaller(await openFakeHost(store, { thread: false })),
  'through the daemon': async (store: string) =>
    new DaemonCaller(store, (await startDaemon(store, new URL('./fake-daemon.ts', import.meta.url))).client),
}

/** Verbs of the command line alone, or functions of the library's own: `openStore`, `connect`, `replicaImages`. */
const withoutMethod = [
  'init', 'vm console', 'replica images', 'daemon start', 'daemon stop', 'daemon restart', 'daemon status',
]

test('every other verb has its method, which gives what the verb takes', async (t) => {
  const asked = new Set<string>()
  const call = async (name: string, given: unknown): Promise<unknown> => {
    checkedArguments(verbNamed(name), given)
    asked.add(name)
    return name === 'vm checkpoint' ? { kind: 'taken' } : name === 'gc' ? { kind: 'collected' } : name === 'vm status' ? [] : {}
  }
  const caller = { call, close: async () => undefined } as unknown as VerbCaller
  const store = new Store('/store', caller)
  const image = new Image('web', caller)
  const url = 'file:///replica'
  for (const of of [
    store.createImage('web', { base: ['disk'] }), store.images(), store.diff('web@0', 'web@1'), store.stats(),
    store.check({ readData: true, sample: 0.5, repair: true, from: ['disk'] }), store.gc({ keepLast: 1, images: ['web'] }),
    store.rebuildIndex(), store.keys(), store.addKey({ keyFile: 'key' }), store.removeKey(1), store.changeKey({}, 1),
    store.rotateKeys(), store.mounts(), store.unmount('mnt', { lazy: true }), store.cleanMounts({ below: 'mnt' }),
    store.machines(), store.addReplica('near', url, { bytesPerSecondMax: 1024 }), store.replicas(), store.replicaStatus(),
    store.syncReplicas({ name: 'near' }), store.removeReplica('near'), store.restore(url, 'web@1', { as: 'b', full: true }),
    store.restore(url, 'web', { takeover: true, resume: true }), image.log(), image.show(1), image.seal({ note: 'x', waitReplicas: 1 }),
    image.pin(1), image.unpin(1), image.remove(1), image.fork(1, 'b'), image.rollback(1, { discard: true }),
    image.export(1, '/disk', 'out', { format: 'qcow2' }), image.mount('mnt', { transport: 'native' }),
    image.startMachine({ disks: ['/disk'], kernel: 'kernel', initrd: 'initrd' }), image.checkpoint({ note: 'x' }),
    image.resumeMachine({ epoch: 1, as: 'b' }), image.stopMachine({ force: true }), image.machine(),
  ]) await of
  t.deepEqual(verbNames.filter((name) => !asked.has(name)).sort(), [...withoutMethod].sort())
})

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
