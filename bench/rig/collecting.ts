/** Collects the garbage of a store in a process of its own, as a daemon does, and tells its memory: DIRECTORY REQUEST. */
import { readFileSync } from 'node:fs'
import { openThreadEngine } from '../../src/daemon/thread-engine.ts'
import { keepHeapsSmall } from '../../src/env/small-heaps.ts'

keepHeapsSmall()
const [directory, request] = process.argv.slice(2)
const opened = performance.now()
await using engine = await openThreadEngine(directory)
const began = performance.now()
const steps = new Map<string, number>()
/** Of this program: what `getrusage` says counts the process that started it, too. */
let rssBytesMax = 0
let anonymousBytesMax = 0
let mappedBytesMax = 0
let lookedMs = -Infinity
let last = { step: 'begin', ms: began }
const report = await engine.collectGarbage(JSON.parse(request), {
  progress: ({ step }) => {
    const ms = performance.now()
    look(ms)
    steps.set(last.step, (steps.get(last.step) ?? 0) + ms - last.ms)
    last = { step, ms }
  },
})
const ended = performance.now()
look(Infinity)
steps.set(last.step, (steps.get(last.step) ?? 0) + ended - last.ms)
const { removedEpochs, ...counts } = report
process.stdout.write(JSON.stringify({
  openMs: began - opened, ms: ended - began, rssBytesMax, anonymousBytesMax, mappedBytesMax,
  removedEpochs: removedEpochs.length, ...counts, reasons: {}, steps: Object.fromEntries(steps),
}))

/** Which of the memory is the program's own, and which are mapped files, that the system may take back. */
function look(ms: number): void {
  if (ms - lookedMs < 20) return
  lookedMs = ms
  const status = readFileSync('/proc/self/status', 'utf8')
  const bytesOf = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024
  rssBytesMax = bytesOf('VmHWM')
  anonymousBytesMax = Math.max(anonymousBytesMax, bytesOf('RssAnon'))
  mappedBytesMax = Math.max(mappedBytesMax, bytesOf('RssFile'))
}
