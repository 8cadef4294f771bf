/** Where the devices of a machine look when they are loaded. */
import test from 'ava'
import { deviceChunks, withDevices } from '../../src/machine/device-chunks.ts'
import type { MachineFacts } from '../../src/machine/facts.ts'
import { MIB, chunkBytes } from '../../src/limits.ts'
import { MachineRig } from './rig.ts'
import { smallGuest } from './small-guest.ts'

const memory = {
  capture: 'writeback' as const,
  regions: [
    { id: 'low', gpa: 0, size: MIB, file: 'm', offset: 0, shared: true },
    { id: 'high', gpa: 4 * MIB, size: MIB, file: 'm', offset: MIB, shared: true },
    { id: 'elsewhere', gpa: 16 * MIB, size: MIB, file: null, offset: 0, shared: false },
    { id: 'unknown', gpa: null, size: MIB, file: 'n', offset: 0, shared: true },
  ],
}

test('addresses are chunks of the files that hold them; what lies elsewhere is left out', async (t) => {
  const addresses = [4 * MIB + 3 * chunkBytes, 0, chunkBytes - 1, chunkBytes, 16 * MIB, 5 * MIB, 99 * MIB]
  const chunks = await deviceChunks({ memory, deviceMemory: async () => addresses })
  t.deepEqual(chunks, [{ path: 'm', chunks: [0, 1, MIB / chunkBytes + 3] }])
})

test('they come before what else is likely, each once', (t) => {
  const facts = { deviceChunks: [{ path: 'm', chunks: [7, 3] }] } as Partial<MachineFacts> as MachineFacts
  t.deepEqual(withDevices(facts, [{ path: 'm', chunks: [1, 3] }, { path: 'n', chunks: [2] }]), [
    { path: 'm', chunks: [7, 3, 1] }, { path: 'n', chunks: [2] },
  ])
  t.deepEqual(withDevices({} as Partial<MachineFacts> as MachineFacts, [{ path: 'm', chunks: [1] }]), [{ path: 'm', chunks: [1] }])
})

test.serial('a machine whose guest drives no device is asked, and has none', async (t) => {
  t.timeout(480_000)
  await using rig = await MachineRig.open()
  await rig.machines.start(await smallGuest(rig, 'vm'))
  await rig.machines.checkpoint({ image: 'vm' })
  const { facts } = await rig.engine.machineState({ epoch: 'vm@1' })
  t.like(facts, { deviceChunks: [{ path: 'machine.memory', chunks: [] }] })
})
