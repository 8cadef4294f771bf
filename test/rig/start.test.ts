/** What `rig/run.sh` says on hosts that lack something: it runs with a PATH that has only what a test puts there. */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const script = join(import.meta.dirname, '../../rig/run.sh')

interface Outcome {
  code: number
  err: string
}

/** Programs of this host by name; `made` are small scripts by name. */
function start(t: ExecutionContext, programs: readonly string[], made: Record<string, string>, words = ['demo']): Promise<Outcome> {
  const directory = mkdtempSync(join(tmpdir(), 'path-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const real = ['sh', 'dirname', 'uname', ...programs].filter((name) => !(name in made))
  for (const name of real) symlinkSync(pathOf(name), join(directory, name))
  for (const [name, body] of Object.entries(made)) writeFileSync(join(directory, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 })
  return new Promise((resolve) => {
    execFile(pathOf('sh'), [script, ...words], { env: { PATH: directory }, encoding: 'utf8' }, (error, _, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, err })
    })
  })
}

function pathOf(program: string): string {
  const places = ['/usr/bin', '/bin', '/usr/sbin', '/sbin']
  return places.map((place) => join(place, program)).find((path) => existsSync(path)) ?? program
}

const asUser = { id: 'echo 1000' }

test('not root on Debian: the command that installs exactly what is missing', async (t) => {
  const { code, err } = await start(t, ['wget', 'cpio'], { ...asUser, 'apt-get': 'exit 9' })
  t.is(code, 1)
  t.regex(err, /as root, run: apt-get install --no-install-recommends qemu-system-x86 qemu-utils /)
  t.notRegex(err, /wget|cpio|fio/)
})

test('not Debian: the commands that are missing, and where Debian has them', async (t) => {
  const { code, err } = await start(t, ['qemu-img'], asUser)
  t.is(code, 1)
  t.regex(err, /missing commands: qemu-system-x86_64 .*on Debian: apt-get install .*qemu-system-x86 /)
  t.notRegex(err, /qemu-img/)
})

test('not root with all packages: the command to start it with', async (t) => {
  const all = ['qemu-system-x86_64', 'qemu-img', 'wget', 'cpio', 'unxz', 'mount', 'flock', 'python3']
  const { code, err } = await start(t, [], { ...asUser, ...Object.fromEntries(all.map((name) => [name, 'exit 9'])) })
  t.is(code, 1)
  t.regex(err, /need root: .*sudo npm run demo/)
})

test('root on Debian: the packages are installed, with a refreshed list if need be', async (t) => {
  const { code, err } = await start(t, [], { id: 'echo 0', 'apt-get': 'echo "apt-get $*" >&2; [ "$1" = update ]' })
  t.is(code, 1)
  t.regex(err, /apt-get install .*qemu-system-x86.*apt-get update.*apt-get install .*qemu-system-x86.*could not install; try/s)
})

test('another system: no attempt is made', async (t) => {
  const { code, err } = await start(t, [], { uname: '[ "$1" = -s ] && echo Darwin || echo arm64' })
  t.is(code, 1)
  t.regex(err, /needs Linux on x86_64, not Darwin on arm64/)
})

test('a word that is no command: its usage', async (t) => {
  const { code, err } = await start(t, [], {}, ['dance'])
  t.is(code, 1)
  t.regex(err, /usage: .*demo\|test\|bench/)
})
