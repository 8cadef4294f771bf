/**
 * A fake of the host, for tests of what stands above it: it holds the store's real lock, knows the images
 * it was told to make, in memory, and has verbs that take as long as a test wants.
 *
 *   createImage of a base named `slow`  reports progress until it is aborted
 *   createImage of a base named `defect` fails as a bug would
 *   a file `crash` in the store ends the process that opens it
 *   the file `made` in the store has a line for each image that was ever made
 */
import { appendFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { FileLock } from '../../src/env/lock.ts'
import { systemEnv } from '../../src/env/system.ts'
import { HoldfastError } from '../../src/errors.ts'
import type { Host, MachineSummary, MountSummary } from '../../src/daemon/host.ts'
import type { OpenHost } from '../../src/daemon/open-host.ts'
import type { Engine } from '../../src/image/engine.ts'
import type { CallOptions, EpochSummary, ImageSummary } from '../../src/image/types.ts'

export const openFakeHost: OpenHost = async (store, { create }) => {
  const identity = join(store, 'store.json')
  if (create === true) {
    if (existsSync(identity)) throw new HoldfastError('EXISTS', `${store} is a store already`)
    mkdirSync(store, { recursive: true })
    writeFileSync(identity, '{}')
  }
  if (!existsSync(identity)) throw new HoldfastError('NOT_FOUND', `${store} is not a store`)
  if (existsSync(join(store, 'newer'))) throw new HoldfastError('NEWER_VERSION', 'written by a newer Holdfast')
  if (existsSync(join(store, 'crash'))) process.kill(process.pid, 'SIGKILL')
  return fakeHost(store, FileLock.take(systemEnv(), join(store, 'lock')))
}

const fakeReplicas = { status: async () => [], list: () => [] } as Partial<Host['replicas']> as Host['replicas']

const noSchedule = { everyMs: null, rules: null, lastMs: null, removedEpochs: null, freedBytes: null, lastError: null }
const fakeGarbage: Host['garbage'] = { schedule: async () => noSchedule, state: () => noSchedule } as Partial<Host['garbage']> as Host['garbage']

function fakeHost(store: string, lock: FileLock): Host {
  const mounts: MountSummary[] = []
  const engine = fakeEngine(store)
  const machines: MachineSummary[] = []
  const host: Partial<Host> = {
    engine,
    async mount({ image, directory, transport = 'kernel' }) {
      const mount = { image, directory, device: 1, machine: false, transport }
      mounts.push(mount)
      return mount
    },
    async unmount({ directory }) {
      const index = mounts.findIndex((each) => each.directory === directory)
      if (index < 0) throw new HoldfastError('NOT_FOUND', `nothing is mounted on ${directory}`)
      mounts.splice(index, 1)
    },
    mounts: () => [...mounts],
    cleanMounts: async () => [],
    seal: async ({ image, note }) => ({ epoch: await engine.sealHead({ image, note }), barrierMs: 0.1, commitMs: 2 }),
    async startMachine({ image, memoryBytes }) {
      const machine = { ...stoppedMachine(image), state: 'running' as const, memoryBytes }
      machines.push(machine)
      return machine
    },
    checkpoint: async ({ image, note }) => ({ epoch: await engine.sealHead({ image, note }), pauseMs: 5, parts: {} }),
    replicas: fakeReplicas,
    reading: { alsoFrom: async () => undefined, epochRecords: async () => ({ copies: [], faults: [], notes: [] }) },
    garbage: fakeGarbage,
    scheduleCheckpoints: async ({ image, everyMs }) => ({ ...stoppedMachine(image), everyMs }),
    resumeMachine: async ({ target }) => {
      const image = target.split('@')[0]
      return { machine: stoppedMachine(image), epoch: epochOf(image, 0, ''), resumeMs: 9, ranMs: 0, parts: {} }
    },
    async stopMachine({ image }) {
      machines.length = 0
      return stoppedMachine(image)
    },
    machines: async (args) => machines.filter(({ image }) => args?.image === undefined || args.image === image),
    async close(options) {
      if (mounts.length > 0 && options?.force !== true) throw new HoldfastError('BUSY', 'a mount is in use')
      lock.close()
    },
    async [Symbol.asyncDispose]() {
      lock.close()
    },
  }
  return host as Host
}

function fakeEngine(store: string): Engine {
  const images = new Map<string, EpochSummary[]>()
  const epochsOf = (image: string): EpochSummary[] => {
    const found = images.get(image)
    if (found === undefined) throw new HoldfastError('NOT_FOUND', `there is no image ${image}`)
    return found
  }
  const engine: Partial<Engine> = {
    directory: store,
    async createImage({ image, base }, options = {}) {
      if (images.has(image)) throw new HoldfastError('EXISTS', `there is an image ${image} already`)
      if (base.some((path) => basename(path) === 'slow')) await untilAborted(options)
      if (base.some((path) => basename(path) === 'defect')) throw new TypeError('a defect')
      images.set(image, [epochOf(image, 0, '')])
      appendFileSync(join(store, 'made'), `${image}\n`)
      return summaryOf(image, 1)
    },
    images: async () => [...images].map(([image, epochs]) => summaryOf(image, epochs.length)),
    log: async ({ image }) => epochsOf(image),
    async sealHead({ image, note }) {
      const epochs = epochsOf(image)
      const epoch = epochOf(image, epochs.length, note ?? '')
      epochs.push(epoch)
      return epoch
    },
    async stats() {
      return {
        store: 'fake', directory: store, formatVersion: 1, encrypted: false, images: images.size, epochs: 0, packs: 0, records: 0,
        plainBytes: 0, storedBytes: 0, dataStoredBytes: 0, nodeStoredBytes: 0, freeBytes: 1,
      }
    },
    async check() {
      const damaged = { what: 'record', where: 'pack 1', message: 'bad digest', epochs: ['a@0'], files: [] }
      return {
        packs: 1, records: 1, epochs: 1, damaged: existsSync(join(store, 'damage')) ? [damaged] : [], healed: [], repairs: [],
        notes: [], unread: { packs: 0, bytes: 0 },
      }
    },
    async exportFile({ path, file }) {
      writeFileSync(file, `bytes of ${path}\n`)
      return { bytes: 1, dataBytes: 1 }
    },
  }
  return engine as Engine
}

function untilAborted({ signal, progress }: CallOptions): Promise<never> {
  return new Promise((_, reject) => {
    let done = 0
    const timer = setInterval(() => progress?.({ step: 'take in', done: ++done, total: 0, unit: 'files' }), 5)
    signal?.addEventListener('abort', () => {
      clearInterval(timer)
      reject(new HoldfastError('ABORTED', 'stopped on request'))
    })
  })
}

function epochOf(image: string, number: number, note: string): EpochSummary {
  return {
    image, number, id: '00'.repeat(32), parent: null, wallMs: 0, note, pinned: false, level: 'durable', replicas: { have: 0, of: 0 },
    writtenBytes: 0, storedBytes: 0, pauseMs: null, machine: false,
  }
}

function summaryOf(image: string, epochs: number): ImageSummary {
  return { image, id: '00'.repeat(16), origin: { kind: 'empty' }, epochs, newest: epochs - 1, createdMs: 0 }
}

function stoppedMachine(image: string): MachineSummary {
  return {
    image, state: 'stopped', pid: null, mount: '', console: '', accelerator: 'tcg', machineType: 'q35', memoryBytes: 0,
    everyMs: null, stretchedMs: null, checkpoints: { requested: 0, completed: 0, failed: 0, aborted: 0 }, newest: null, lastError: null,
    alarms: [], notices: [],
  }
}
