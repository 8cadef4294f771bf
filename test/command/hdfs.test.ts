/** A store, a real HDFS and an empty node, as their user sees them: real commands, real daemons. */
import { randomBytes } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { hdfs, hdfsReplica, hdfsTest, shareCluster, whyNot } from '../replica/hdfs.ts'
import { RealStore, contentOf, shell } from './real-store.ts'

shareCluster(2)

const right = { HOLDFAST_PASSPHRASE: 'correct horse battery staple' }
const wrong = { HOLDFAST_PASSPHRASE: 'incorrect horse battery staple' }

/** Files of all DataNodes and of the NameNode that hold the text; these move and delete files meanwhile. */
function filesWith(text: string, directory: string): string[] {
  for (;;) {
    try {
      return readdirSync(directory, { withFileTypes: true, recursive: true })
        .filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
        .filter((path) => readFileSync(path).includes(text))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
}

/** An image whose contents say the marker, on HDFS, and the checksum of its file; the node that made it is lost. */
async function replicated(t: ExecutionContext, marker: string, encrypted: boolean): Promise<{ url: string; sum: string }> {
  const { url } = await hdfsReplica(t)
  const node = RealStore.at(t)
  const must = async (...words: string[]): Promise<void> => {
    const { code, err } = await node.run(words, right)
    t.is(code, 0, `${words.join(' ')}: ${err}`)
  }
  await must('init', ...encrypted ? ['--encrypt'] : [])
  const text = `${marker} in a file\n`.repeat(2000)
  const base = node.file(`${marker}.bin`, Buffer.concat([Buffer.from(text), randomBytes(12_000_000)]))
  await must('create', marker.toLowerCase(), '--base', base)
  await must('mount', marker.toLowerCase(), node.mountPoint())
  await must('replica', 'add', 'far', url)
  await must('seal', marker.toLowerCase(), '--note', `${marker} as a note`, '--wait-replicas', '1')
  await must('replica', 'sync')
  const sum = await shell(`cksum < ${base}`)
  await node.killDaemon()
  return { url, sum }
}

for (const encrypted of [false, true]) {
  hdfsTest(`hdfs: ${encrypted ? 'an encrypted store' : 'a store'} comes back on an empty node${whyNot}`, async (t) => {
    t.timeout(480_000)
    const marker = `MARKER-${encrypted ? 'SEALED' : 'PLAIN'}-SIGHT`
    const { url, sum } = await replicated(t, marker, encrypted)
    const image = marker.toLowerCase()
    const traces = [...filesWith(`${marker} in a file`, hdfs().directory), ...filesWith(`${marker} as a note`, hdfs().directory)]
    t.is(traces.length > 0, !encrypted, traces.join())
    const node = RealStore.at(t)
    if (encrypted) {
      t.is((await node.run(['replica', 'images', url], wrong)).code, 1)
      const refused = await node.run(['restore', url, image, '--takeover', '--json'], wrong)
      t.is(refused.code, 1)
      t.regex(refused.out, /KEY_WRONG/)
      t.regex((await node.run(['restore', url, image, '--takeover', '--json'])).out, /KEY_NEEDED/)
      t.deepEqual(await node.json(['images']), [])
    }
    const restored = await node.run(['restore', url, image, '--takeover', '--full'], right)
    t.is(restored.code, 0, restored.err)
    const mnt = node.mountPoint()
    t.is((await node.run(['mount', image, mnt])).code, 0)
    t.is(await shell(`cksum < ${mnt}/${marker}.bin`), sum)
    if (encrypted) t.deepEqual(filesWith(`${marker} in a file`, node.directory), [])
  })
}

hdfsTest(`hdfs: a daemon that is killed after a restore goes on fetching when it is there again${whyNot}`, async (t) => {
  t.timeout(480_000)
  const marker = 'CONTENTS'
  const { url, sum } = await replicated(t, marker, false)
  const image = marker.toLowerCase()
  const node = RealStore.at(t)
  const log = (): string => contentOf(join(node.directory, 'daemon', 'log'))
  try {
    t.is((await node.run(['restore', url, image, '--takeover'])).code, 0)
    // From now on nothing more comes, however long it takes to kill the daemon.
    for (const each of hdfs().dataNodes) each.pause()
    await node.killDaemon()
    t.false(log().includes('is here as a whole'))
  } finally {
    await hdfs().revive()
  }
  const mnt = node.mountPoint()
  t.is((await node.run(['mount', image, mnt])).code, 0)
  await shell(`head -c 200000 ${mnt}/${marker}.bin > /dev/null`)
  await node.killDaemon()
  t.is((await node.run(['mount', image, mnt])).code, 0)
  t.is(await shell(`cksum < ${mnt}/${marker}.bin`), sum, 'what is read is fetched')
  while (!log().includes(`${image}@1 is here as a whole`)) await new Promise((resolve) => setTimeout(resolve, 100))
  t.is((await node.json<unknown[]>(['log', image])).length, 2, 'the epochs before it have come as well')
})
