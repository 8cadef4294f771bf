import test from 'ava'
import { readFileSync } from 'node:fs'
import { duplexPair } from 'node:stream'
import { join } from 'node:path'
import type { Binding } from '../../drivers/index.ts'
import { setGuestClock } from '../../drivers/qemu/agent.ts'
import { LineDecoder } from '../../drivers/qemu/lines.ts'
import { writeBootDisk } from './guests.ts'
import { Rig, checkpoint, consoleText, counter, until } from './rig.ts'

const ids = [
  '324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87',
  'b0c1d2e3-f405-4617-8293-a4b5c6d7e8f9',
  '00112233-4455-4677-8899-aabbccddeeff',
]

/** A GUID as Windows and ACPI write it: the first three fields little-endian. */
function wireBytes(id: string): Buffer {
  const bytes = Buffer.from(id.replaceAll('-', ''), 'hex')
  return Buffer.concat([
    bytes.subarray(0, 4).reverse(),
    bytes.subarray(4, 6).reverse(),
    bytes.subarray(6, 8).reverse(),
    bytes.subarray(8),
  ])
}

function holds(binding: Binding, id: string): boolean {
  return readFileSync(join(binding.root, 'memory')).includes(wireBytes(id))
}

test.serial(
  'a guest started by firmware from its own disk sees a new generation id after each load, and no old one',
  async (t) => {
    await using rig = new Rig()
    const disk = {
      path: join(rig.directory, 'disk.raw'),
      format: 'raw',
      interface: 'virtio',
      readOnly: false,
      serial: 'root',
    } as const
    writeBootDisk(disk.path)
    const plan = await rig.plan({ machineType: 'q35', firmware: null, disks: [disk], generationId: true })
    let binding = rig.bind(undefined, { generationId: ids[0]! })
    let machine = await rig.start(plan, binding)
    t.false(await machine.identity.newGenerationId(), 'a running guest cannot be given another')
    await until(() => /[A-P]{3}/.test(consoleText(machine)))
    t.true(holds(binding, ids[0]!))

    for (const [index, id] of ids.slice(1).entries()) {
      const taken = await checkpoint(rig, machine, binding)
      await machine.kill()
      await machine.close()
      binding = { ...taken.memory, generationId: id }
      machine = await rig.load(plan, binding, taken.state)
      t.true(await machine.identity.newGenerationId())
      const before = counter(binding)
      await machine.resume(await machine.quiesce())
      await until(() => counter(binding) > before + 1)
      t.true(holds(binding, id))
      t.false(holds(binding, ids[index]!))
    }
  },
)

test.serial('microvm has no generation id, and no agent sets no clock', async (t) => {
  await using rig = new Rig()
  const plan = await rig.plan()
  const binding = rig.bind()
  const machine = await rig.start(plan, binding)
  await until(() => counter(binding) > 0)
  const taken = await checkpoint(rig, machine, binding)
  const loaded = await rig.load(plan, taken.memory, taken.state)
  t.false(await loaded.identity.newGenerationId())
  t.false(await loaded.identity.setWallClock(1_700_000_000_000))
})

test.serial('a channel with no agent behind it sets no clock, and says so in time', async (t) => {
  await using rig = new Rig()
  const machine = await rig.start(await rig.plan({ guestAgent: true }), rig.bind())
  t.false(await machine.identity.setWallClock(1_700_000_000_000))
})

test('the guest agent is synchronised first, and its stale words are passed over', async (t) => {
  const [host, guest] = duplexPair()
  const lines = new LineDecoder(10_000)
  const heard: { execute: string; arguments: Record<string, number> }[] = []
  guest.write('{"return": 7}\nhalf an old ans')
  guest
    .on('error', () => undefined)
    .on('data', (bytes: Buffer) => {
      for (const line of lines.push(bytes)) {
        const request = JSON.parse(line.replace('\ufffd', '')) as (typeof heard)[number]
        heard.push(request)
        if (request.execute === 'guest-sync-delimited')
          guest.write(Buffer.concat([Buffer.of(0xff), Buffer.from(`{"return": ${request.arguments['id']}}\n`)]))
        else guest.write('{"return": {}}\n')
      }
    })
  t.true(await setGuestClock(host, 1_700_000_000_123, 4711))
  t.deepEqual(
    heard.map(({ execute }) => execute),
    ['guest-sync-delimited', 'guest-set-time'],
  )
  t.is(heard[1]!.arguments['time'], 1_700_000_000_123 * 1e6)
  t.true(host.destroyed)
})

test('an agent that refuses, ends or babbles has set no clock', async (t) => {
  const answers: ((line: string) => string | null)[] = [
    (line) => (line.includes('sync') ? '\n{"return": 1}\n' : '{"error": {"class": "GenericError", "desc": "no"}}\n'),
    () => null,
    () => 'x\n'.repeat(1000),
  ]
  for (const answer of answers) {
    const [host, guest] = duplexPair()
    const lines = new LineDecoder(10_000)
    guest
      .on('error', () => undefined)
      .on('data', (bytes: Buffer) => {
        for (const line of lines.push(bytes)) {
          const said = answer(line)
          if (said === null) guest.end()
          else guest.write(said)
        }
      })
    t.false(await setGuestClock(host, 1, 1, 5_000))
  }
})
