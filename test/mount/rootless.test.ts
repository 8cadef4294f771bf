/** The native transport for a user without root, with the fusermount that its package brings. */
import { execFile, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { transports } from './transports.ts'

const run = promisify(execFile)
const nobody = 65_534
const script = fileURLToPath(new URL('rootless.ts', import.meta.url))

/**
 * In a mount namespace of its own, as a system that lets its users mount has them: /dev/fuse for all, and
 * fusermount set-uid on the PATH. All of it is gone with the namespace.
 */
const asUser = `
set -e
mount -t tmpfs -o mode=755 none "$1/system"
mknod -m 666 "$1/system/fuse" c 10 229
mount --bind "$1/system/fuse" /dev/fuse
mkdir "$1/system/bin"
[ -z "$4" ] || install -m 4755 "$4" "$1/system/bin/fusermount"
export PATH="$1/system/bin:$PATH" HOME="$1/user"
exec setpriv --reuid ${nobody} --regid ${nobody} --clear-groups "$2" --no-warnings "$3" "$1/user"`

function shippedFusermount(): string {
  const fromPackage = createRequire(createRequire(import.meta.url).resolve('fuse-native/package.json'))
  const { lib } = createRequire(fromPackage.resolve('fuse-shared-library'))('fuse-shared-library-linux') as { lib: string }
  return join(dirname(lib), '..', 'bin', 'fusermount')
}

/** Why a user without root cannot be had here, or null. */
function missing(): string | null {
  const native = transports.find(({ name }) => name === 'native')
  if (native === undefined || native.missing !== null) return native?.missing ?? 'there is no native transport'
  if (process.arch !== 'x64') return 'the package brings its fusermount for x64 only'
  if (process.getuid?.() !== 0) return 'needs root to become someone else'
  const isolated = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt'])
  if (isolated.status !== 0) return 'needs a mount namespace (unshare -m) and tmpfs'
  const readable = spawnSync('setpriv', ['--reuid', String(nobody), '--clear-groups', process.execPath, '--check', script])
  return readable.status === 0 ? null : 'another user cannot read this checkout or its node'
}

interface Said {
  uid: number
  kernel: string | [string, string]
  lines: string[]
  epoch: number
  again: string
}

const reason = missing()
const testIfPossible = reason === null ? test.serial : test.serial.skip
const because = reason === null ? '' : `: ${reason}`

function scratch(cleanup: (done: () => void) => void): string {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-rootless-'))
  cleanup(() => rmSync(directory, { recursive: true, force: true }))
  chmodSync(directory, 0o755)
  for (const name of ['system', 'user']) mkdirSync(join(directory, name))
  chownSync(join(directory, 'user'), nobody, nobody)
  return directory
}

function inNamespace(directory: string, fusermount: string): Promise<{ stdout: string; stderr: string }> {
  const words = ['-m', 'sh', '-c', asUser, 'sh', directory, process.execPath, script, fusermount]
  return run('unshare', words, { timeout: 480_000 })
}

testIfPossible(`a user without root mounts, uses, seals and unmounts an image${because}`, async (t) => {
  const { stdout } = await inNamespace(scratch((done) => t.teardown(done)), shippedFusermount())
  const said = JSON.parse(stdout) as Said
  t.is(said.uid, nobody)
  t.deepEqual(said.lines, ['nobody 644 2', 'hello', 'fuse.holdfast'])
  t.is(said.epoch, 1)
  t.is(said.again, 'hello\n')
  t.is(said.kernel[0], 'UNSUPPORTED', 'the kernel transport needs root')
  t.regex(said.kernel[1], /root/)
})

testIfPossible(`without fusermount a user is told what to install${because}`, async (t) => {
  const failure = await t.throwsAsync(inNamespace(scratch((done) => t.teardown(done)), ''))
  t.regex(failure?.message ?? '', /UNSUPPORTED/)
  t.regex(failure?.message ?? '', /needs the program fusermount: install the package fuse/)
})
