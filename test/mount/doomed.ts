/** Daemons that tests kill, or whose serving threads they crash, with a mounted image. */
import { mkdirSync } from 'node:fs'
import type { ExecutionContext } from 'ava'
import { KilledDaemon } from '../../bench/rig/killed-daemon.ts'
import { scratch } from './served.ts'

export async function started(t: ExecutionContext): Promise<KilledDaemon> {
  const daemon = await KilledDaemon.start(scratch((done) => t.teardown(done)))
  t.teardown(() => daemon.abandon())
  return daemon
}

/** Its serving threads do what crash-hook.ts says; a second image is mounted at `other`. */
export async function startedWithHook(t: ExecutionContext): Promise<{ daemon: KilledDaemon; other: string }> {
  process.env.NODE_OPTIONS = `--no-warnings --import ${new URL('crash-hook.ts', import.meta.url).pathname}`
  t.teardown(() => delete process.env.NODE_OPTIONS)
  const daemon = await started(t)
  delete process.env.NODE_OPTIONS
  const other = `${daemon.mountPoint}-other`
  mkdirSync(other)
  await daemon.call('create', { image: 'other', base: [] })
  await daemon.call('mount', { image: 'other', directory: other })
  return { daemon, other }
}
