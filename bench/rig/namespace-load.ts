/**
 * A program that changes the names of a tree as fast as it can, checks each answer against a model in its own
 * memory, and at the end the tree against the model. It ends when its standard input closes, and prints one
 * JSON document: how many operations it did, what was wrong, and which of them took long.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

/** An operation that took longer than usual: when it began, in milliseconds since 1970, and for how long. */
export type Delay = readonly [beganMs: number, durationMs: number]

export interface NamespaceReport {
  operations: number
  faults: string[]
  delays: Delay[]
}

export class NamespaceLoad {
  readonly #process
  readonly #output: Promise<string>

  /** Works in an empty directory, with random numbers from `seed`. */
  constructor(directory: string, seed: number) {
    const words = ['-c', program, directory, String(seed)]
    this.#process = spawn('python3', words, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#output = text(this.#process.stdout)
  }

  /** Ends it, and waits for its comparison of tree and model. */
  async finish(): Promise<NamespaceReport> {
    this.#process.stdin.end()
    if (this.#process.exitCode === null) await once(this.#process, 'exit')
    return JSON.parse(await this.#output) as NamespaceReport
  }

  kill(): void {
    this.#process.kill('SIGKILL')
  }
}

const program = String.raw`
import ctypes, errno, json, os, random, select, sys, time
libc = ctypes.CDLL(None, use_errno=True)
top, rnd = sys.argv[1], random.Random(int(sys.argv[2]))
dirs = [top + "/" + name for name in "xyz"]
for at in dirs: os.mkdir(at)
model, faults, delays, count, serial = {}, [], [], 0, 0

def exchange(a, b):
    if libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), 2) != 0:
        raise OSError(ctypes.get_errno(), "exchange")

def attempt(what, wanted, call, *given):
    global count
    began, clock = time.time(), time.monotonic()
    try: call(*given); got = 0
    except OSError as error: got = error.errno
    took = time.monotonic() - clock
    if took > 0.02: delays.append([began * 1000, took * 1000])
    count += 1
    if got != wanted and len(faults) < 50:
        name = errno.errorcode.get
        faults.append("%s %s: %s, not %s" % (what, given, name(got, got), name(wanted, wanted)))
    return got == 0

def create(path):
    global serial
    serial += 1
    made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    os.write(made, b"%d" % serial)
    os.close(made)

def some(): return rnd.choice(dirs) + "/" + rnd.choice("abcdefghij")
def kind(path): return model.get(path, [None])[0]

def step():
    path, other, act = some(), some(), rnd.randrange(9)
    has, also = path in model, other in model
    if act <= 1:
        if attempt("create", errno.EEXIST if has else 0, create, path):
            model[path] = ["file", {"text": str(serial), "links": 1}]
    elif act == 2:
        wanted = errno.ENOENT if not has else errno.EISDIR if kind(path) == "dir" else 0
        if attempt("unlink", wanted, os.unlink, path): model.pop(path)[1]["links"] -= 1
    elif act == 3:
        if attempt("mkdir", errno.EEXIST if has else 0, os.mkdir, path): model[path] = ["dir", {"links": 1}]
    elif act == 4:
        wanted = errno.ENOENT if not has else errno.ENOTDIR if kind(path) != "dir" else 0
        if attempt("rmdir", wanted, os.rmdir, path): model.pop(path)
    elif act == 5:
        if attempt("symlink", errno.EEXIST if has else 0, os.symlink, "to " + other, path):
            model[path] = ["link", {"text": "to " + other, "links": 1}]
    elif act == 6:
        if kind(path) == "dir": return
        wanted = errno.ENOENT if not has else errno.EEXIST if also else 0
        def link(a, b): os.link(a, b, follow_symlinks=False)
        if attempt("link", wanted, link, path, other):
            model[other] = model[path]
            model[path][1]["links"] += 1
    elif act == 7:
        if not has: wanted = errno.ENOENT
        elif not also: wanted = 0
        elif kind(path) == "dir" and kind(other) != "dir": wanted = errno.ENOTDIR
        elif kind(path) != "dir" and kind(other) == "dir": wanted = errno.EISDIR
        else: wanted = 0
        if attempt("rename", wanted, os.rename, path, other) and path != other:
            if also and model[other] is model[path]: return
            if also: model[other][1]["links"] -= 1
            model[other] = model.pop(path)
    else:
        if path == other: return
        if attempt("exchange", 0 if has and also else errno.ENOENT, exchange, path, other):
            model[path], model[other] = model[other], model[path]

def compare():
    found = {}
    for at in dirs:
        for name in os.listdir(at): found[at + "/" + name] = True
    if sorted(found) != sorted(model): faults.append("names %s, not %s" % (sorted(found), sorted(model)))
    for path, (kind, state) in model.items():
        status = os.lstat(path)
        if kind == "file" and open(path).read() != state["text"]: faults.append("contents of " + path)
        if kind == "link" and os.readlink(path) != state["text"]: faults.append("target of " + path)
        if kind != "dir" and status.st_nlink != state["links"]:
            faults.append("links of %s: %d, not %d" % (path, status.st_nlink, state["links"]))

while not select.select([sys.stdin], [], [], 0)[0]:
    for _ in range(20): step()
compare()
json.dump({"operations": count, "faults": faults, "delays": delays}, sys.stdout)
`
