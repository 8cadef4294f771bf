/**
 * A user's own arguments, and what of them a checkpoint cannot carry. The rules are a table of small
 * predicates; a false refusal costs a question, a missed one costs guest memory, so they lean to refusing.
 */
import { isAbsolute } from 'node:path'
import type { MemoryRegion, Refusal } from '../driver.ts'
import { isObject, parseObject } from './json.ts'

/** One option of QEMU's command line with its value as properties; `head` is the value's first, keyless word. */
export interface ExtraOption {
  readonly name: string
  readonly value: string
  readonly head: string
  readonly properties: ReadonlyMap<string, string>
}

/**
 * Splits arguments into options. Whatever follows an option is taken as its value, and also as an option of its
 * own if it looks like one.
 */
export function parseExtra(args: readonly string[]): ExtraOption[] {
  return args.flatMap((word, index) => (word.startsWith('-') ? [parseOption(word, args[index + 1] ?? '')] : []))
}

export function refuseExtra(options: readonly ExtraOption[]): Refusal[] {
  return options.flatMap((option) =>
    rules.flatMap((rule) => {
      const reason = rule(option)
      return reason === null ? [] : [{ reason }]
    }),
  )
}

/** Memory that the user's arguments add. Only for arguments that were not refused. */
export function extraRegions(options: readonly ExtraOption[]): MemoryRegion[] {
  return options.filter(isMemoryBackend).map(({ properties }) => ({
    id: properties.get('id') ?? 'memory',
    gpa: null,
    size: sizeOf(properties.get('size') ?? ''),
    file: properties.get('mem-path') ?? null,
    offset: 0,
    shared: isOn(properties.get('share')),
  }))
}

function parseOption(word: string, value: string): ExtraOption {
  const name = word.replace(/^--?/, '')
  const json = value.startsWith('{') ? parseObject(value) : null
  const properties = json === null ? keyValues(value) : new Map(flattened(json))
  const head =
    json === null
      ? value.includes('=') && value.indexOf('=') < (value + ',').indexOf(',')
        ? ''
        : (splitCommas(value)[0] ?? '')
      : ''
  return {
    name,
    value,
    properties,
    head: head || properties.get('qom-type') || properties.get('driver') || properties.get('type') || '',
  }
}

function keyValues(value: string): Map<string, string> {
  return new Map(
    splitCommas(value).map((part): [string, string] => {
      const at = part.indexOf('=')
      return at < 0 ? [part, 'on'] : [part.slice(0, at), part.slice(at + 1)]
    }),
  )
}

/** A comma is written twice where it is meant. */
function splitCommas(value: string): string[] {
  return value
    .replaceAll(',,', '\0')
    .split(',')
    .map((part) => part.replaceAll('\0', ','))
}

function flattened(value: unknown, prefix = ''): [string, string][] {
  if (!isObject(value)) return [[prefix, value === true ? 'on' : value === false ? 'off' : String(value)]]
  return Object.entries(value).flatMap(([key, inner]) => flattened(inner, prefix === '' ? key : `${prefix}.${key}`))
}

function isOn(value: string | undefined): boolean {
  return value !== undefined && ['on', 'yes', 'true', 'y'].includes(value)
}

function sizeOf(text: string): number {
  const match = /^(\d+)([bkmgt]?)$/i.exec(text)
  return match === null
    ? Number.NaN
    : Number(match[1]) * 1024 ** Math.max(0, 'bkmgt'.indexOf(match[2]!.toLowerCase() || 'm'))
}

function isMemoryBackend(option: ExtraOption): boolean {
  return option.name === 'object' && option.head.startsWith('memory-backend')
}

type Rule = (option: ExtraOption) => string | null

/** Options that the driver sets itself: given twice, the fingerprint would not be what runs. */
const driverOptions = new Map(
  Object.entries({
    machine: 'machineType',
    M: 'machineType',
    accel: 'accelerator',
    'enable-kvm': 'accelerator',
    cpu: 'cpuModel',
    smp: 'cpus',
    m: 'memoryBytes',
    kernel: 'kernel',
    initrd: 'kernel',
    append: 'kernel',
    bios: 'firmware',
    pflash: 'firmware',
    incoming: '',
    loadvm: '',
    S: '',
    daemonize: '',
    'only-migratable': '',
  }),
)

const unreadable = new Map(
  Object.entries({
    readconfig: 'reads options that are not checked',
    set: 'changes options after they were checked',
    preconfig: 'waits for commands before the machine exists',
    snapshot: 'sends disk writes to a temporary file that no epoch holds',
    runas: 'changes what the hypervisor may open',
    chroot: 'changes what the hypervisor may open',
  }),
)

const rules: readonly Rule[] = [
  ({ name }) => {
    const field = driverOptions.get(name)
    if (field === undefined) return null
    return field === ''
      ? `-${name} is the driver's own business: leave it out.`
      : `-${name} is set by the driver: use the machine's ${field} instead.`
  },
  ({ name }) => (unreadable.has(name) ? `-${name} ${unreadable.get(name)!}: leave it out.` : null),
  ({ name }) =>
    name === 'mem-prealloc' || name === 'mem-path'
      ? `-${name} pins or moves guest memory, which must be a file of the image: leave it out.`
      : null,
  ({ name, properties }) =>
    (name === 'overcommit' || name === 'realtime') &&
    [...properties].some(([key, value]) => key.includes('lock') && value !== 'off')
      ? `-${name} locks guest memory, so that it cannot be written back: leave it out.`
      : null,
  (option) => (isMemoryBackend(option) ? memoryBackendRule(option) : null),
  (option) =>
    isMemoryBackend(option) && isOn(option.properties.get('prealloc'))
      ? 'Memory with prealloc=on is read and pinned whole at every resume: leave prealloc out.'
      : null,
  ({ name, head }) =>
    name === 'object' && /^(sev|tdx|s390-pv|pef)-/.test(head)
      ? `Encrypted guest memory (${head}) cannot be saved: leave it out.`
      : null,
  ({ name, head }) =>
    name === 'device' && deviceRule(head) !== null ? `The device ${head} ${deviceRule(head)!}: leave it out.` : null,
  ({ name, head }) =>
    (name === 'chardev' || name === 'netdev') && head.startsWith('vhost')
      ? `-${name} ${head} lets another process work on guest memory: leave it out.`
      : null,
  ({ name, value }) =>
    ['virtfs', 'fsdev'].includes(name)
      ? `-${name} ${value} shares a directory of the host, whose state no epoch holds: copy the files into the image.`
      : null,
  ({ name, head, properties }) =>
    name === 'global' &&
    /memory-backend|migration/.test([head, ...properties.keys(), ...properties.values()].join(' '))
      ? '-global on memory or migration changes what a checkpoint relies on: leave it out.'
      : null,
  ({ name }) => (/^(hd[abcd]|sd|mtdblock)$/.test(name) ? diskReason(name) : null),
  ({ name, properties }) =>
    (name === 'drive' || name === 'blockdev') &&
    !isOn(properties.get('readonly')) &&
    !isOn(properties.get('read-only'))
      ? diskReason(name)
      : null,
]

function diskReason(name: string): string {
  return (
    `-${name} adds a disk that is not in the image, so its content would not be saved with the memory: ` +
    'make it a disk of the machine, or read-only.'
  )
}

function memoryBackendRule({ head, properties }: ExtraOption): string | null {
  if (head !== 'memory-backend-file' || !properties.has('mem-path'))
    return (
      `${head} is memory that no file holds, so it would silently be missing from every checkpoint: ` +
      'use memory-backend-file with a mem-path in the image.'
    )
  if (!isAbsolute(properties.get('mem-path')!))
    return `${head} needs an absolute mem-path, so that the file can be looked for in the image.`
  if (!isOn(properties.get('share')))
    return (
      `${head} without share=on keeps its writes from the file, so they would be sent while the guest is paused: ` +
      'add share=on.'
    )
  return null
}

function deviceRule(device: string): string | null {
  if (device.startsWith('vfio')) return 'pins guest memory for hardware'
  if (device.startsWith('vhost-user') || device.startsWith('vhost-vdpa'))
    return 'lets another process work on guest memory'
  if (device.startsWith('ivshmem')) return 'shares memory with other guests, which do not stop with this one'
  if (device.startsWith('virtio-mem') || device.startsWith('virtio-pmem'))
    return 'changes where guest memory lives while it runs'
  if (/^(pc-dimm|nvdimm)$/.test(device)) return 'adds memory that no plan knows'
  return null
}
