/**
 * What a test made that would outlast its process goes also when that is told to end, and when its runner is gone: ava
 * leaves its workers running when it is killed, and they would go on for hours.
 */
import process from 'node:process'

const undoings: (() => void)[] = []

/** Call what is returned when the test ends; `undo` runs once, then or when the process ends, the last one first. */
export function undone(undo: () => void): () => void {
  watch()
  undoings.push(undo)
  return () => {
    const at = undoings.indexOf(undo)
    if (at >= 0) undoings.splice(at, 1)[0]()
  }
}

let isWatching = false

function watch(): void {
  if (isWatching) return
  isWatching = true
  process.on('exit', undoAll)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => end(signal))
  process.once('disconnect', () => {
    if (undoings.length > 0) end('SIGTERM')
  })
}

/** As if nobody had listened for the signal. */
function end(signal: NodeJS.Signals): void {
  undoAll()
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
}

function undoAll(): void {
  while (undoings.length > 0) undoOne(undoings.pop()!)
}

/** One that fails must not keep the others from it. */
function undoOne(undo: () => void): void {
  try {
    undo()
  } catch (error) {
    process.stderr.write(`left over: ${String(error)}\n`)
  }
}
