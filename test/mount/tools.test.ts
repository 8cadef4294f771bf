/** Ordinary programs on a mounted image: what they make is what they would make elsewhere. */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { python } from '../fuse/python.ts'
import { ServedStore } from './served.ts'
import { contract } from './transports.ts'
import { describeTree } from './tree.ts'

const run = promisify(execFile)

/** A small tree of every kind of file, with odd names, modes, owners, times and holes. */
const makeTree = `
root = sys.argv[1]
os.makedirs(root + "/a/b/c")
open(root + "/a/empty", "w").close()
open(root + "/a/script", "w").write("#!/bin/sh\\nexit 0\\n")
os.chmod(root + "/a/script", 0o751)
open(root + "/a/b/data", "wb").write(os.urandom(300000))
sparse = os.open(root + "/a/sparse", os.O_CREAT | os.O_RDWR)
os.pwrite(sparse, b"middle", 5 << 20)
os.ftruncate(sparse, 9 << 20)
os.link(root + "/a/b/data", root + "/a/b/c/same")
os.symlink("../script", root + "/a/b/link")
os.symlink("nowhere", root + "/a/dangling")
os.mkfifo(root + "/a/pipe", 0o640)
os.setxattr(root + "/a/script", "user.note", b"kept \\x00 as it is")
os.mkdir(os.fsencode(root) + b"/a/" + (b"\\xff\\xfe" if sys.argv[2] == "bytes" else b"\\xc3\\x9f") + b" odd \\n name")
open(root + "/a/" + "n" * 255, "w").write("long")
os.chown(root + "/a/script", 1234, 2345)
os.chmod(root + "/a/b/c", 0o2775)
for at, directories, files in os.walk(os.fsencode(root), topdown=False):
    for name in files + directories:
        times = (1500000000123456789, 1400000000987654321) if sys.argv[3] == "exact" else (1500000000123000000, 1400000000987000000)
        os.utime(at + b"/" + name, ns=times, follow_symlinks=False)
print("null")`

contract('cp -a, tar and mv carry every kind of file in, about and out', [], async (t, transport) => {
  const served = await ServedStore.start(t, { transport: transport.name })
  const mounted = await served.make('tools')
  const outside = `${served.directory}/../outside`
  await run('mkdir', [outside, `${outside}/from`, `${outside}/back`])
  const { byteNames, exactTimes } = transport.supports
  await python(makeTree, `${outside}/from`, byteNames ? 'bytes' : 'text', exactTimes ? 'exact' : 'milliseconds')
  const wanted = await describeTree(`${outside}/from/a`)

  await run('cp', ['-a', `${outside}/from/a`, mounted.path('copied')])
  t.deepEqual(await describeTree(mounted.path('copied')), wanted)
  await run('mkdir', [mounted.path('moved')])
  await run('mv', [mounted.path('copied'), mounted.path('moved', 'tree')])
  t.deepEqual(await describeTree(mounted.path('moved', 'tree')), wanted)

  await run('tar', ['--xattrs', '-cf', mounted.path('all.tar'), '-C', mounted.path('moved'), 'tree'])
  await run('tar', ['--xattrs', '-xpf', mounted.path('all.tar'), '-C', `${outside}/back`])
  t.deepEqual(await describeTree(`${outside}/back/tree`), wanted)
  await run('cp', ['-a', mounted.path('moved', 'tree'), `${outside}/back/again`])
  t.deepEqual(await describeTree(`${outside}/back/again`), wanted)
  await run('rm', ['-r', mounted.path('moved'), mounted.path('all.tar')])
  t.deepEqual(await describeTree(mounted.directory), (await describeTree(mounted.directory)).slice(0, 1))
})

contract('git makes a repository, commits, packs and checks it', [], async (t, transport) => {
  const served = await ServedStore.start(t, { transport: transport.name })
  const mounted = await served.make('git')
  const environment = {
    ...process.env, HOME: mounted.directory, GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: 'a', GIT_AUTHOR_EMAIL: 'a@example.org', GIT_COMMITTER_NAME: 'a', GIT_COMMITTER_EMAIL: 'a@example.org',
  }
  const git = (...words: string[]) => run('git', ['-C', mounted.path('repo'), ...words], { env: environment })
  await run('git', ['init', '-q', mounted.path('repo')], { env: environment })
  for (let version = 0; version < 5; version++) {
    await writeFile(mounted.path('repo', 'file'), `v${version} `.repeat(10_000))
    await git('add', '.')
    await git('commit', '-q', '-m', `version ${version}`)
  }
  await git('gc', '-q')
  await git('fsck', '--strict')
  t.is((await git('log', '--oneline')).stdout.trim().split('\n').length, 5)
  t.is((await git('status', '--porcelain')).stdout, '')
  await mounted.seal()
  await git('fsck', '--strict')
  t.is((await git('show', 'HEAD~4:file')).stdout, 'v0 '.repeat(10_000))
})
