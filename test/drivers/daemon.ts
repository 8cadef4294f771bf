/**
 * A process for tests that starts a machine, brings it to a moment, says its handle and waits to be killed.
 *
 *   node daemon.ts running|paused|saving < {"plan", "binding"}
 */
import { text } from 'node:stream/consumers'
import { Writable } from 'node:stream'
import { QemuDriver } from '../../drivers/index.ts'
import type { Binding, Plan } from '../../drivers/index.ts'

const { plan, binding } = JSON.parse(await text(process.stdin)) as { plan: Plan; binding: Binding }
const machine = await new QemuDriver({ cachePath: 'unused' }).start(plan, binding)
if (process.argv[2] !== 'running') {
  const quiet = await machine.quiesce()
  // Killed while the save is told to begin: the reply to it never comes.
  if (process.argv[2] === 'saving') void machine.saveState(quiet, new Writable({ write: () => undefined }))
}
process.stdout.write(`${JSON.stringify(machine.handle())}\n`)
setInterval(() => undefined, 1000)
