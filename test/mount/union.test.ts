/** An image over a base: every kind of change to every entry, kept by epochs and forks, the base untouched. */
import { mkdirSync } from 'node:fs'
import * as fs from 'node:fs/promises'
import { join } from 'node:path'
import { python } from '../fuse/python.ts'
import { ServedStore } from './served.ts'
import { contract } from './transports.ts'
import { describeTree } from './tree.ts'

const makeBase = `
root = sys.argv[1]
for name in ("keep", "modify", "append", "cut", "grow", "rename", "delete", "to-directory", "over", "chmod", "link"):
    with open(root + "/" + name, "wb") as file:
        file.write(name.encode() * 30000)
for name in ("d-keep", "d-rename", "d-delete", "d-to-file", "d-add"):
    os.mkdir(root + "/" + name)
    open(root + "/" + name + "/inside", "w").write(name)
os.symlink("keep", root + "/s-keep"); os.symlink("keep", root + "/s-replace")
for at, directories, files in os.walk(root):
    for name in directories + files: os.utime(at + "/" + name, ns=(1, 10**18 + 7), follow_symlinks=False)
print("null")`

const changes = `
import shutil
os.chdir(sys.argv[1])
with open("modify", "r+b") as file: file.seek(70000); file.write(b"changed")
with open("append", "ab") as file: file.write(b"appended")
os.truncate("cut", 100); os.truncate("cut", 150000); os.truncate("grow", 20000000)
os.rename("rename", "d-add/renamed"); os.unlink("delete")
os.unlink("to-directory"); os.makedirs("to-directory/now")
open("fresh", "w").write("fresh"); os.rename("fresh", "over")
os.chmod("chmod", 0o4711); os.chown("chmod", 7, 8); os.setxattr("chmod", "user.new", b"new")
os.link("link", "d-keep/linked")
os.rename("d-rename", "d-renamed"); shutil.rmtree("d-delete")
shutil.rmtree("d-to-file"); open("d-to-file", "w").write("now a file")
open("d-add/added", "w").write("added")
os.unlink("s-replace"); os.mkdir("s-replace")
print(json.dumps(sorted(os.listdir("."))))`

contract('every entry of a base is changed, and all of it survives seal, unmount, mount and fork', ['exactTimes'], async (t, { name: transport }) => {
  const store = await ServedStore.start(t, { transport })
  const base = join(store.directory, '..', 'base')
  const plain = join(store.directory, '..', 'plain')
  mkdirSync(base)
  await python(makeBase, base)
  await fs.cp(base, plain, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true })
  const before = await describeTree(base)

  let mounted = await store.make('union', [base])
  t.deepEqual(names(await describeTree(mounted.directory)), names(before))
  t.deepEqual((await describeTree(mounted.directory)).slice(1), before.slice(1))
  t.deepEqual(await python(changes, mounted.directory), await python(changes, plain))
  const wanted = content(await describeTree(plain))
  t.deepEqual(content(await describeTree(mounted.directory)), wanted)
  await mounted.seal('changed')
  t.deepEqual(content(await describeTree(mounted.directory)), wanted)
  await mounted.unmount()
  mounted = await store.mount('union')
  t.deepEqual(content(await describeTree(mounted.directory)), wanted)

  await store.fork('union@1', 'child')
  const child = await store.mount('child')
  t.deepEqual(content(await describeTree(child.directory)), wanted)
  await fs.writeFile(child.path('keep'), 'of the child')
  t.deepEqual(content(await describeTree(mounted.directory)), wanted)
  await store.fork('union@0', 'origin')
  const origin = await store.mount('origin')
  t.deepEqual((await describeTree(origin.directory)).slice(1), before.slice(1))
  t.deepEqual(await describeTree(base), before, 'the base is as it was')
})

/** Without times: the changes were made twice, one after the other. */
function content(tree: string[]): string[] {
  return tree.slice(1).map((line) => line.replace(/, \d{16,}, /, ', TIME, '))
}

function names(tree: string[]): string[] {
  return tree.map((line) => line.slice(0, line.indexOf(',')))
}
