/** Collects the garbage of a store in a process of its own, so that its memory can be told: DIRECTORY REQUEST. */
import { openLocalEngine } from '../../src/image/local-engine.ts'

const [directory, request] = process.argv.slice(2)
const opened = performance.now()
await using engine = await openLocalEngine(directory)
const began = performance.now()
const steps = new Map<string, number>()
let last = { step: 'begin', ms: began }
const report = await engine.collectGarbage(JSON.parse(request), {
  progress: ({ step }) => {
    const ms = performance.now()
    steps.set(last.step, (steps.get(last.step) ?? 0) + ms - last.ms)
    last = { step, ms }
  },
})
const ended = performance.now()
steps.set(last.step, (steps.get(last.step) ?? 0) + ended - last.ms)
const { removedEpochs, ...counts } = report
process.stdout.write(JSON.stringify({
  openMs: began - opened, ms: ended - began, rssBytesMax: process.resourceUsage().maxRSS * 1024,
  removedEpochs: removedEpochs.length, ...counts, reasons: {}, steps: Object.fromEntries(steps),
}))
