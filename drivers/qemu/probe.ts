/** What this host's QEMU can do, found out by running it. */
import { dirname } from 'node:path'
import { within } from '../deadline.ts'
import type { AcceleratorProof, DriverFacts, ProbeOptions } from '../driver.ts'
import { DriverError, isDriverError, messageOf } from '../errors.ts'
import type { Host, HostFile } from '../host.ts'
import { limits } from '../limits.ts'
import type { Accelerator } from '../spec.ts'
import { channels } from './commandline.ts'
import { Control } from './control.ts'
import { listOf, objectOf, parseObject, textOf } from './json.ts'
import type { Json } from './json.ts'
import { bestModels } from './plan.ts'
import { proofFirmware, prove } from './proof.ts'
import { QmpClient } from './qmp.ts'

const cacheVersion = 1
const kvmDevice = '/dev/kvm'

/** See `Driver.probe`. `cachePath` may be deleted at any time; the firmware of the proof lies beside it. */
export async function probe(
  host: Host,
  command: string,
  cachePath: string,
  options: ProbeOptions = {},
): Promise<DriverFacts> {
  const binary = await host.locate(command)
  if (binary === null)
    throw new DriverError(
      'UNSUPPORTED',
      `${command} is not installed, or may not be run: install QEMU for x86 and try again.`,
    )
  // A KVM that does not work may do so after a reboot, an upgrade or a change of rights: each changes the key.
  const key = [binary.path, binary.stamp, await host.kernelStamp(), String(await host.mayUse(kvmDevice))].join(' ')
  const known = options.refresh ? null : readCache(await host.readText(cachePath), key)
  const models = options.cpuModels ?? []
  if (known !== null && hasModels(known, models)) return known
  const facts = await measure(host, binary, cachePath, [...models, ...modelNames(known)], known)
  await host.write(cachePath, `${JSON.stringify({ version: cacheVersion, key, facts }, null, 2)}\n`)
  return facts
}

function readCache(text: string | null, key: string): DriverFacts | null {
  const cache = text === null ? null : parseObject(text)
  if (cache === null || cache['version'] !== cacheVersion || cache['key'] !== key) return null
  return cache['facts'] as unknown as DriverFacts
}

function modelNames(facts: DriverFacts | null): string[] {
  return Object.keys(facts?.cpuModels ?? {}).map((name) => name.slice(name.indexOf(':') + 1))
}

function hasModels(facts: DriverFacts, models: readonly string[]): boolean {
  return provenOf(facts.accelerators).every((accelerator) =>
    models.every((model) => facts.cpuModels[`${accelerator}:${model}`] !== undefined),
  )
}

function provenOf(proofs: DriverFacts['accelerators']): Accelerator[] {
  return (['kvm', 'tcg'] as const).filter((accelerator) => proofs[accelerator].proven)
}

async function measure(
  host: Host,
  binary: HostFile,
  cachePath: string,
  models: readonly string[],
  known: DriverFacts | null,
): Promise<DriverFacts> {
  const [accelerators, digest] = await Promise.all([
    known?.accelerators ?? proveAll(host, binary, `${cachePath}.rom`),
    known?.binary.digest ?? host.digest(binary.path),
  ])
  const proven = provenOf(accelerators)
  if (proven.length === 0)
    throw new DriverError('UNSUPPORTED', `${binary.path} runs no guest: ${accelerators.tcg.reason}`)
  const views = await Promise.all(
    proven.map((accelerator) =>
      interview(host, binary, dirname(cachePath), accelerator, new Set([bestModels[accelerator], ...models])),
    ),
  )
  const { version, machineTypes, capabilities } = views[0]!
  const cpuModels = Object.assign({}, ...views.map((view) => view.cpuModels)) as Record<string, readonly string[]>
  return {
    driver: 'qemu',
    binary: { path: binary.path, version, digest },
    accelerators,
    machineTypes,
    capabilities,
    cpuModels,
  }
}

async function proveAll(
  host: Host,
  binary: HostFile,
  firmwarePath: string,
): Promise<Record<Accelerator, AcceleratorProof>> {
  await host.write(firmwarePath, proofFirmware())
  const absent: AcceleratorProof = {
    proven: false,
    tookMs: 0,
    reason: `${kvmDevice} is not there or may not be used.`,
  }
  const [kvm, tcg] = await Promise.all([
    (await host.mayUse(kvmDevice)) ? prove(host, binary.path, 'kvm', firmwarePath) : absent,
    prove(host, binary.path, 'tcg', firmwarePath),
  ])
  return { kvm, tcg }
}

type View = Pick<DriverFacts, 'machineTypes' | 'capabilities' | 'cpuModels'> & { version: string }

/** Asks a QEMU without a machine. */
async function interview(
  host: Host,
  binary: HostFile,
  directory: string,
  accelerator: Accelerator,
  models: ReadonlySet<string>,
): Promise<View> {
  const argv = [
    ...`-machine none -accel ${accelerator} -S -no-user-config -nodefaults -display none`.split(' '),
    ...['-chardev', `socket,id=qmp,fd=${channels.qmp}`, '-mon', 'chardev=qmp,mode=control'],
  ]
  const child = await host.spawn({ binary: binary.path, argv, directory, logPath: null, channelsCount: 1 })
  try {
    const qmp = await QmpClient.open(child.channels[0]!, { timeoutMs: limits.startTimeoutMs })
    try {
      return await ask(new Control(child, qmp), accelerator, models)
    } finally {
      qmp.close()
    }
  } catch (error) {
    throw new DriverError('UNSUPPORTED', `${binary.path} does not answer as QEMU does: ${messageOf(error)}`, {
      cause: error,
    })
  } finally {
    child.kill('SIGKILL')
    await within(child.exited, limits.killTimeoutMs, 'The end of the hypervisor')
  }
}

async function ask(control: Control, accelerator: Accelerator, models: ReadonlySet<string>): Promise<View> {
  const { major, minor, micro } = objectOf(objectOf(await control.execute('query-version'))['qemu'])
  const machines = listOf(await control.execute('query-machines')).map(objectOf)
  const capabilities = listOf(await control.execute('query-migrate-capabilities')).map((item) =>
    textOf(objectOf(item)['capability']),
  )
  const cpuModels: Record<string, readonly string[]> = {}
  for (const model of models) {
    const properties = await expand(control, model)
    if (properties !== null) cpuModels[`${accelerator}:${model}`] = properties
  }
  return {
    version: [major, minor, micro].join('.'),
    machineTypes: machines.map((machine) => ({
      name: textOf(machine['name']),
      alias: textOf(machine['alias']) || null,
    })),
    capabilities,
    cpuModels,
  }
}

/** Null for a model that this accelerator does not have. */
async function expand(control: Control, name: string): Promise<string[] | null> {
  try {
    const { model } = objectOf(await control.execute('query-cpu-model-expansion', { type: 'full', model: { name } }))
    return Object.entries(objectOf(objectOf(model)['props']))
      .flatMap(([property, value]) => nameProperty(property, value))
      .sort()
  } catch (error) {
    if (isDriverError(error, 'COMMAND_FAILED')) return null
    throw error
  }
}

function nameProperty(property: string, value: Json | undefined): string[] {
  if (value === false || value === undefined) return []
  return [value === true ? property : `${property}=${String(value)}`]
}
