import test from 'ava'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import type { MachineEvent, NetworkSpec } from '../../drivers/index.ts'
import { linuxHost } from '../../drivers/linux.ts'
import { QmpClient } from '../../drivers/qemu/qmp.ts'
import { freePorts } from '../../rig/hdfs/ports.ts'
import { Rig, checkpoint, codeOf, counting } from './rig.ts'

const mac = '52:54:00:00:00:01'

/** A switch that takes one card at a time. */
async function listening(path: string): Promise<Server> {
  const server = createServer()
  server.listen(path)
  await once(server, 'listening')
  return server
}

async function plugged(server: Server): Promise<Socket> {
  const [socket] = (await once(server, 'connection')) as [Socket]
  return socket.on('error', () => undefined)
}

/** The next whole frame: 32-bit big-endian length, then the bytes. */
async function frame(socket: Socket): Promise<Buffer> {
  let bytes = Buffer.alloc(0)
  for await (const piece of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes = Buffer.concat([bytes, piece])
    if (bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt32BE())
      return bytes.subarray(4, 4 + bytes.readUInt32BE())
  }
  return bytes
}

test.serial(
  'a card is a client of the switch, says where it is, and is plugged again after the switch went away',
  async (t) => {
    await using rig = new Rig()
    const path = join(rig.directory, 'switch')
    const first = await listening(path)
    t.teardown(() => first.close())
    const network: NetworkSpec = { mac, attachment: { kind: 'stream', path } }
    const connecting = plugged(first)
    const machine = await rig.start(await rig.plan({ machineType: 'q35', network }), rig.bind())
    const socket = await connecting
    const port = machine.ports[0]!
    t.is(port.mac, mac)
    t.true(port.exactOutputBoundary)
    t.deepEqual(machine.handle().binding.attachment, network.attachment)

    t.true(await machine.identity.announce(true))
    t.is((await frame(socket)).toString('hex', 6, 12), mac.replaceAll(':', ''))

    const seen = (async (): Promise<MachineEvent | undefined> => {
      for await (const event of machine.events) if (event.kind === 'nicDisconnected') return event
      return undefined
    })()
    socket.destroy()
    t.deepEqual(await seen, { kind: 'nicDisconnected', port: 's0' })

    const again = plugged(first)
    await port.plug({ kind: 'stream', path })
    await machine.identity.announce(true)
    t.is((await frame(await again)).toString('hex', 6, 12), mac.replaceAll(':', ''))
  },
)

test.serial('a fork starts with its cable pulled, and is plugged by hand', async (t) => {
  await using rig = new Rig()
  const path = join(rig.directory, 'switch')
  const server = await listening(path)
  t.teardown(() => server.close())
  const connecting = plugged(server)
  const plan = await rig.plan({ machineType: 'q35', network: { mac, attachment: { kind: 'stream', path } } })
  const binding = rig.bind()
  const machine = await rig.start(plan, binding)
  const original = await connecting
  t.teardown(() => original.destroy())
  await counting(binding)
  const { state, memory } = await checkpoint(rig, machine, binding)

  let connections = 0
  server.on('connection', () => {
    connections++
  })
  const fork = await rig.load(plan, { ...memory, attachment: null }, state)
  await fork.resume(await fork.quiesce())
  const port = fork.ports[0]!
  t.is(port.attachment, null)
  t.is(fork.handle().binding.attachment, null)
  t.is(connections, 0)

  const second = plugged(server)
  await port.plug({ kind: 'stream', path })
  await fork.identity.announce(true)
  t.is((await frame(await second)).toString('hex', 6, 12), mac.replaceAll(':', ''))
  await port.unplug()
  t.is(port.attachment, null)
})

test.serial(
  'a card without a cable has its link down: what it sends is dropped and not kept for later',
  async (t) => {
    await using rig = new Rig()
    const path = join(rig.directory, 'switch')
    const server = await listening(path)
    t.teardown(() => server.close())
    const binding = rig.bind()
    const machine = await rig.start(
      await rig.plan({ machineType: 'q35', network: { mac, attachment: null } }),
      binding,
    )
    const sockets = linuxHost.openSockets(binding.runDirectory)
    const other = await QmpClient.open(await sockets.connect('qmp.sock'))
    t.teardown(() => {
      other.close()
      sockets.close()
    })
    const announceOnce = (): Promise<unknown> =>
      other.execute('announce-self', { initial: 50, max: 550, rounds: 1, step: 100 })

    await announceOnce()
    const connecting = plugged(server)
    await machine.ports[0]!.plug({ kind: 'stream', path })
    const received = buffer(await connecting)
    await announceOnce()
    await other.execute('set_link', { name: 'net0', up: false })
    await announceOnce()
    await machine.ports[0]!.unplug()
    const bytes = await received
    t.is(bytes.length, 4 + bytes.readUInt32BE(), 'one frame')
  },
)

test.serial('a machine saved with its cable pulled has its link up where it is loaded with a cable', async (t) => {
  await using rig = new Rig()
  const path = join(rig.directory, 'switch')
  const server = await listening(path)
  t.teardown(() => server.close())
  const plan = await rig.plan({ machineType: 'q35', network: { mac, attachment: null } })
  const binding = rig.bind()
  const machine = await rig.start(plan, binding)
  await counting(binding)
  const { state, memory } = await checkpoint(rig, machine, binding)
  const connecting = plugged(server)
  const loaded = await rig.load(plan, { ...memory, attachment: { kind: 'stream', path } }, state)
  const socket = await connecting
  await loaded.resume(await loaded.quiesce())
  await loaded.identity.announce(true)
  t.is((await frame(socket)).toString('hex', 6, 12), mac.replaceAll(':', ''))
})

test.serial('user mode forwards a host port, and a fork on another port stands beside it', async (t) => {
  await using rig = new Rig()
  const forward = (hostPort: number): NetworkSpec['attachment'] => ({
    kind: 'user',
    hostForward: [{ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort, guestPort: 80 }],
  })
  const used = await freePorts(2)
  const free = used + 1
  const plan = await rig.plan({ network: { mac, attachment: forward(used) } })
  const binding = rig.bind()
  const machine = await rig.start(plan, binding)
  t.false(machine.ports[0]!.exactOutputBoundary)
  const { state, memory } = await checkpoint(rig, machine, binding)
  t.is(await codeOf(t, rig.driver.start(plan, rig.bind())), 'START_FAILED')
  const fork = await rig.load(plan, { ...memory, attachment: forward(free) }, state)
  await fork.resume(await fork.quiesce())
  t.is(fork.state(), 'running')
})

test.serial('a machine without a card has no port and announces nothing', async (t) => {
  await using rig = new Rig()
  const machine = await rig.start(await rig.plan(), rig.bind())
  t.deepEqual(machine.ports, [])
  t.false(await machine.identity.announce(true))
})
