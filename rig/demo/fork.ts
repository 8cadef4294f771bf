/** An older epoch goes on as a second machine, while the first one runs. */
import { ConsoleLog } from './console-log.ts'
import { databaseIsSound, goesOn } from './crash.ts'
import type { Resumption } from './crash.ts'
import type { Epoch, Resumed } from './records.ts'
import { FORK } from './stage.ts'
import type { Stage } from './stage.ts'
import { timeText } from './story.ts'

const countTimeoutMs = 240_000

export async function forkOlder(stage: Stage, older: Epoch, original: Resumption): Promise<Resumption> {
  const { story, holdfast, signal } = stage
  const originalLog = new ConsoleLog(original.machine)
  const before = originalLog.counters().at(-1) ?? 0
  const { result, commandMs } =
    await holdfast.run<Resumed>('vm', 'resume', `${older.image}@${older.number}`, '--as', FORK)
  story.seen(`the fork runs ${timeText(result.resumeMs)} after the command arrived, ${timeText(commandMs)} in all`)
  for (const notice of result.machine.notices) story.seen(`note: ${notice}`)
  // The fork's machine is the image's own; what it was resumed from is the older epoch.
  await goesOn(stage, { ...result, epoch: older })
  await databaseIsSound(story, result.machine)
  const since = await originalLog.waitForCounters(1, before, countTimeoutMs, signal)
  story.expect(since.at(-1)! > before, 'the original counts on beside it', `from ${before} to ${since.at(-1)}`)
  story.proves('epochs are not changed by what runs from them: each can be gone back to, or branched from')
  return { ...result, epoch: older, commandMs }
}
