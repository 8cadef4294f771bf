/**
 * Run by `rootless.test.ts` as a user without root: a store of its own, mounted and used. Arguments: an empty
 * directory of the user's. Prints one JSON document.
 */
import { execFile } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { codeOf, messageOf } from '../../src/errors.ts'
import { openStore } from '../../src/index.ts'

const run = promisify(execFile)
const directory = process.argv[2]
const at = join(directory, 'mount')
mkdirSync(at)

/** What the user does there, in another process than the one that serves. */
const use = `
set -e
cd "$1"
mkdir d
echo hello > f
ln f d/same
mv f d/moved
sync d/moved
stat -c '%U %a %h' d/moved
cat d/same
awk '$5 == "'"$1"'" { print $(NF-2) }' /proc/self/mountinfo`

await using store = await openStore(join(directory, 'store'), { create: true })
const image = await store.createImage('web')
const kernel = await image.mount(at).then(() => 'mounted', (error: unknown) => [codeOf(error), messageOf(error)])
await image.mount(at, { transport: 'native' })
const { stdout } = await run('sh', ['-c', use, 'sh', at])
const { epoch } = await image.seal()
await store.unmount(at)
await image.mount(at, { transport: 'native' })
const again = await run('cat', [join(at, 'd', 'same')])
await store.unmount(at)
process.stdout.write(JSON.stringify({
  uid: process.getuid?.(), kernel, lines: stdout.trim().split('\n'), epoch: epoch.number, again: again.stdout,
}))
