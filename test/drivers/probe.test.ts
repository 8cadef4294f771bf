import test from 'ava'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { QemuDriver } from '../../drivers/index.ts'
import type { Host } from '../../drivers/index.ts'
import { linuxHost } from '../../drivers/linux.ts'
import { Rig, codeOf } from './rig.ts'

/** The real host without KVM, which counts the processes it starts. */
function countingHost(): Host & { readonly argvs: string[] } {
  const argvs: string[] = []
  return {
    ...linuxHost,
    argvs,
    mayUse: () => Promise.resolve(false),
    spawn: (request) => {
      argvs.push(request.argv.join(' '))
      return linuxHost.spawn(request)
    },
  }
}

test.serial('a probe boots what it calls proven, and asks the hypervisor for the rest', async (t) => {
  await using rig = new Rig()
  const facts = await rig.facts()
  t.true(facts.accelerators.tcg.proven, facts.accelerators.tcg.reason)
  t.regex(facts.binary.version, /^\d+\.\d+\.\d+$/)
  t.regex(facts.binary.digest, /^[\da-f]{64}$/)
  t.true(facts.machineTypes.some(({ name, alias }) => alias === 'q35' && name.startsWith('pc-q35-')))
  t.true(facts.capabilities.includes('x-ignore-shared'))
  t.true(facts.cpuModels['tcg:max']!.includes('sse2'))
  t.is(facts.accelerators.kvm.proven, facts.cpuModels['kvm:host'] !== undefined)
})

test.serial('what was found is kept until the key changes or the file is damaged', async (t) => {
  await using rig = new Rig()
  const cachePath = join(rig.directory, 'facts.json')
  const host = countingHost()
  const driver = new QemuDriver({ cachePath, host })
  const facts = await driver.probe()
  t.false(facts.accelerators.kvm.proven)
  t.is(host.argvs.length, 2)
  t.deepEqual(await driver.probe(), facts)
  t.is(host.argvs.length, 2)

  const more = await driver.probe({ cpuModels: ['qemu64'] })
  t.true(more.cpuModels['tcg:qemu64']!.length > 0)
  t.true(more.cpuModels['tcg:max']!.length > 0)
  t.is(host.argvs.length, 3, 'another model needs no other proof')

  writeFileSync(cachePath, readFileSync(cachePath, 'utf8').slice(0, 100))
  await driver.probe()
  t.is(host.argvs.length, 5)
  await driver.probe({ refresh: true })
  t.is(host.argvs.length, 7)
  const rebooted = new QemuDriver({
    cachePath,
    host: { ...host, kernelStamp: () => Promise.resolve('another boot') },
  })
  await rebooted.probe()
  t.is(host.argvs.length, 9)
})

test.serial('an accelerator that hangs or ends wrongly is not proven, and its process is gone', async (t) => {
  await using rig = new Rig()
  const script = (name: string, body: string): string => {
    const path = join(rig.directory, name)
    writeFileSync(path, `#!/bin/sh\n${body}\n`, { mode: 0o755 })
    return path
  }
  const pids: number[] = []
  const host: Host = {
    ...linuxHost,
    mayUse: () => Promise.resolve(true),
    spawn: async (request) => {
      const broken = request.argv.includes('kvm') && request.argv.includes('-bios')
      const child = await linuxHost.spawn(broken ? { ...request, binary: script('hang', 'exec sleep 60') } : request)
      pids.push(child.identity.pid)
      return child
    },
  }
  const { accelerators } = await new QemuDriver({ cachePath: join(rig.directory, 'facts.json'), host }).probe()
  t.false(accelerators.kvm.proven)
  t.regex(accelerators.kvm.reason, /16 million in 3000 ms/)
  t.true(accelerators.tcg.proven)
  for (const pid of pids) t.throws(() => process.kill(pid, 0), { code: 'ESRCH' })

  const liar = new QemuDriver({
    cachePath: join(rig.directory, 'other.json'),
    binary: script('liar', 'exit 3'),
    host: countingHost(),
  })
  t.is(await codeOf(t, liar.probe()), 'UNSUPPORTED')
  t.is(
    await codeOf(
      t,
      new QemuDriver({ cachePath: join(rig.directory, 'none.json'), binary: 'no-such-hypervisor' }).probe(),
    ),
    'UNSUPPORTED',
  )
})
