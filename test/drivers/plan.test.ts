import test from 'ava'
import { machineSpec, mismatch } from '../../drivers/index.ts'
import type { DriverFacts, MachineSpec } from '../../drivers/index.ts'
import { commandLine } from '../../drivers/qemu/commandline.ts'
import { plan } from '../../drivers/qemu/plan.ts'

const proof = { proven: true, tookMs: 1, reason: 'A guest ran.' }
const gibibyte = 1024 ** 3

const facts: DriverFacts = {
  driver: 'qemu',
  binary: { path: '/usr/bin/qemu-system-x86_64', version: '7.2.22', digest: 'aa' },
  accelerators: { kvm: { ...proof, proven: false, reason: 'It hangs.' }, tcg: proof },
  machineTypes: [
    { name: 'pc-q35-7.2', alias: 'q35' },
    { name: 'microvm', alias: null },
  ],
  capabilities: ['x-ignore-shared', 'events'],
  cpuModels: { 'tcg:max': ['avx', 'sse'], 'tcg:qemu64': ['sse'] },
}

const spec = (options: Partial<MachineSpec> = {}): MachineSpec =>
  machineSpec({ name: 'm', memoryBytes: 512 * 1024 * 1024, memoryFile: 'memory', ...options })
const reasons = (options: Partial<MachineSpec>, known = facts): string =>
  plan(spec(options), known)
    .refusals.map(({ reason }) => reason)
    .join('\n')

test('a plan pins the versioned machine type, the accelerator that works and the expanded CPU', (t) => {
  const { refusals, fingerprint, machineType, accelerator, cpuModel } = plan(spec(), facts)
  t.deepEqual(refusals, [])
  t.is(machineType, 'pc-q35-7.2')
  t.is(accelerator, 'tcg')
  t.is(cpuModel, 'max')
  t.true(fingerprint.machineVersioned)
  t.deepEqual(fingerprint.cpuProperties, ['avx', 'sse'])
  t.false(plan(spec({ machineType: 'microvm' }), facts).fingerprint.machineVersioned)
  t.is(
    plan(spec(), { ...facts, accelerators: { kvm: proof, tcg: proof }, cpuModels: { 'kvm:host': [] } }).accelerator,
    'kvm',
  )
})

test('a plan is plain JSON and the same for the same spec', (t) => {
  const first = plan(spec(), facts)
  t.deepEqual(JSON.parse(JSON.stringify(first)), plan(spec(), facts))
})

const refused: [string[], RegExp][] = [
  [['-mem-prealloc'], /mem-prealloc/],
  [['--mem-path', '/dev/hugepages'], /mem-path/],
  [['-overcommit', 'mem-lock=on'], /locks guest memory/],
  [['-object', 'memory-backend-file,id=x,mem-path=/x,size=1M'], /share=on/],
  [['-object', 'memory-backend-file,id=x,mem-path=/x,size=1M,share=off'], /share=on/],
  [['-object', 'memory-backend-file,id=x,mem-path=/x,size=1M,share=on,prealloc=on'], /prealloc/],
  [['-object', 'qom-type=memory-backend-file,id=x,mem-path=/x,size=1M,share=on,prealloc=yes'], /prealloc/],
  [['-object', 'memory-backend-memfd,id=x,size=1M,share=on'], /no file holds/],
  [['-object', 'memory-backend-ram,id=x,size=1M'], /no file holds/],
  [['-object', '{"qom-type":"memory-backend-ram","id":"x","size":1048576}'], /no file holds/],
  [['-object', '{"qom-type":"memory-backend-file","id":"x","mem-path":"/x","share":false}'], /share=on/],
  [['-object', 'memory-backend-file,id=x,mem-path=x,size=1M,share=on'], /absolute/],
  [['-object', 'sev-guest,id=sev0'], /Encrypted/],
  [['-device', 'vfio-pci,host=01:00.0'], /pins guest memory/],
  [['-device', '{"driver":"vfio-pci"}'], /pins guest memory/],
  [['-device', 'vhost-user-fs-pci,chardev=c,tag=t'], /another process/],
  [['-device', 'id=x,driver=vhost-user-blk-pci'], /another process/],
  [['-device', 'ivshmem-plain,memdev=x'], /other guests/],
  [['-device', 'pc-dimm,memdev=x'], /no plan knows/],
  [['-netdev', 'vhost-user,id=n,chardev=c'], /another process/],
  [['-netdev', 'type=vhost-vdpa,id=n'], /another process/],
  [['-virtfs', 'local,path=/,mount_tag=x'], /directory of the host/],
  [['-global', 'memory-backend-file.prealloc=on'], /-global/],
  [['-global', 'driver=memory-backend-file,property=prealloc,value=on'], /-global/],
  [['-global', 'migration.x-ignore-shared=off'], /-global/],
  [['-set', 'object.memory.share=off'], /-set/],
  [['-readconfig', 'file'], /not checked/],
  [['-snapshot'], /temporary file/],
  [['-hda', '/disk'], /not in the image/],
  [['-drive', 'file=/disk,if=virtio'], /not in the image/],
  [['-blockdev', '{"driver":"raw","read-only":false}'], /not in the image/],
  [['-m', '1G'], /memoryBytes/],
  [['-machine', 'q35'], /machineType/],
  [['-accel', 'kvm'], /accelerator/],
  [['-cpu', 'host'], /cpuModel/],
  [['-incoming', 'defer'], /driver's own/],
  [['-daemonize'], /driver's own/],
]

for (const [extraArguments, reason] of refused) {
  test(`refused: ${extraArguments.join(' ')}`, (t) => t.regex(reasons({ extraArguments }), reason))
}

const allowed = [
  ['-device', 'virtio-rng-pci'],
  ['-overcommit', 'mem-lock=off'],
  ['-device', 'usb-ehci'],
  ['-drive', 'file=/iso,readonly=on,if=none,id=cd'],
  ['-object', 'rng-random,id=r,filename=/dev/urandom'],
  ['-global', 'ICH9-LPC.disable_s3=1'],
  ['-rtc', 'base=utc'],
]

for (const extraArguments of allowed) {
  test(`allowed: ${extraArguments.join(' ')}`, (t) => t.is(reasons({ extraArguments }), ''))
}

test("shared memory of the user's own is told as a region, so that its file can be looked for in the image", (t) => {
  const { memory, refusals } = plan(
    spec({ extraArguments: ['-object', 'memory-backend-file,id=more,mem-path=/mnt/a,,b,size=64M,share=on'] }),
    facts,
  )
  t.deepEqual(refusals, [])
  t.deepEqual(memory.regions[1], {
    id: 'more',
    gpa: null,
    size: 64 * 1024 * 1024,
    file: '/mnt/a,b',
    offset: 0,
    shared: true,
  })
})

test('what a host cannot do is refused in words', (t) => {
  t.regex(reasons({ accelerator: 'kvm' }), /kvm runs no guest here \(It hangs\.\)/)
  t.regex(reasons({ machineType: 'virt' }), /no machine type virt/)
  t.regex(reasons({ cpuModel: 'Skylake' }), /Skylake was not expanded/)
  t.regex(reasons({}, { ...facts, capabilities: [] }), /x-ignore-shared/)
  t.regex(reasons({}, { ...facts, binary: { ...facts.binary, version: '6.2.0' } }), /too old/)
})

const malformed: [Partial<MachineSpec>, RegExp][] = [
  [{ name: 'a,b' }, /name/],
  [{ memoryBytes: 4097 * 1024 + 1 }, /4 KiB pages/],
  [{ memoryBytes: 4096 }, /at least/],
  [{ cpus: 0 }, /processors/],
  [{ disks: [{ path: 'd', format: 'raw', interface: 'virtio', readOnly: false, serial: 'a b' }] }, /serial/],
  [{ network: { mac: '01:00:00:00:00:00', attachment: null } }, /address/],
  [{ cpuModel: 'max,-avx' }, /without features/],
  [{ memoryFile: '' }, /file name/],
]

for (const [options, reason] of malformed) {
  test(`refused: ${JSON.stringify(options)}`, (t) => t.regex(reasons(options), reason))
}

test('memory above the hole below 4 GiB is a second region of the same file', (t) => {
  const regions = (machineType: string, memoryBytes: number): number[][] =>
    plan(spec({ machineType, memoryBytes }), facts).memory.regions.map(({ gpa, size, offset }) => [
      gpa! / gibibyte,
      size / gibibyte,
      offset / gibibyte,
    ])
  t.deepEqual(regions('q35', gibibyte), [[0, 1, 0]])
  t.deepEqual(regions('q35', 4 * gibibyte), [
    [0, 2, 0],
    [4, 2, 2],
  ])
  t.deepEqual(regions('microvm', 3 * gibibyte), [[0, 3, 0]])
  t.deepEqual(regions('microvm', 5 * gibibyte), [
    [0, 3, 0],
    [4, 2, 3],
  ])
})

test('the command line resolves files in the image and keeps sockets relative to the run directory', (t) => {
  const disk = { path: 'disk,1.raw', format: 'raw', interface: 'virtio', readOnly: false, serial: 'root' } as const
  const attachment = { kind: 'stream', path: '/run/switch' } as const
  const planned = plan(
    spec({
      disks: [disk],
      network: { mac: '52:54:00:00:00:01', attachment },
      kernel: { image: '/boot/k', initrd: 'initrd', append: 'quiet' },
    }),
    facts,
  )
  const binding = { root: '/mnt/x', runDirectory: '/run/x' }
  const line = commandLine(planned, binding, 'start').join(' ')
  for (const part of [
    '"mem-path":"/mnt/x/memory","share":true,"prealloc":false',
    '"filename":"/mnt/x/disk,1.raw"',
    '-kernel /boot/k -append quiet -initrd /mnt/x/initrd',
    '-only-migratable',
    '-nodefaults',
    'path=qmp.sock,server=on,wait=off',
    '"server":false',
    '"guid":"auto"',
  ])
    t.true(line.includes(part), `${part} in ${line}`)
  t.false(line.includes('-S'))
  t.false(line.includes('vga'))
  const fork = commandLine(planned, { ...binding, attachment: null }, 'prepare').join(' ')
  t.true(fork.endsWith('-S -incoming defer'))
  t.false(fork.includes('/run/switch'))
  t.false(
    commandLine(plan(spec({ machineType: 'microvm' }), facts), binding, 'start')
      .join(' ')
      .includes('vmgenid'),
  )
})

test('fingerprints that differ say what differs and what to do', (t) => {
  const saved = plan(spec(), facts).fingerprint
  t.deepEqual(mismatch(saved, saved), [])
  const said = (change: Partial<typeof saved>, from = saved): string =>
    mismatch(from, { ...saved, ...change }).join('\n')
  t.is(said({ binaryVersion: '8.0.1', binaryDigest: 'bb' }), '', 'a versioned machine moves to a newer binary')
  t.regex(said({ binaryVersion: '7.2.9', binaryDigest: 'bb' }), /older: install 7\.2\.22 or newer/)
  t.regex(said({ machineType: 'pc-q35-8.0' }), /machine type was pc-q35-7\.2 and is pc-q35-8\.0/)
  t.regex(said({ accelerator: 'kvm' }), /accelerator was tcg and is kvm/)
  t.regex(said({ cpuProperties: ['sse'] }), /does not have \(avx\)/)
  t.regex(said({ cpuProperties: ['avx', 'avx512', 'sse'] }), /did not have \(avx512\)/)
  t.regex(said({ cpus: 2 }), /processors was 1 and is 2/)
  t.regex(said({ memoryBytes: 1 }), /memory in bytes/)
  t.regex(said({ devices: [] }), /had the device serial/)
  t.regex(said({ devices: [...saved.devices].reverse() }), /another order/)
  t.regex(said({ driver: 'xen' }), /resume it with qemu/)
  const microvm = plan(spec({ machineType: 'microvm' }), facts).fingerprint
  t.regex(mismatch(microvm, { ...microvm, binaryDigest: 'bb' }).join(), /only the binary that saved it/)
})
