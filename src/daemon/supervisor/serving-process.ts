/**
 * The process that serves a store's mounts, as a child of the supervisor: loads its code, says so, and serves
 * when it is told to. It may be killed at any moment. A thread that serves a mount sleeps in the kernel and
 * cannot be ended by Node, so the process ends itself with SIGKILL where things went wrong.
 */
import type { Secret } from '../../crypto/secret.ts'
import { messageOf } from '../../errors.ts'
import { HeldDevice } from '../../mount/held-device.ts'
import { cleanStaleMount } from '../../mount/stale.ts'
import { Daemon } from '../daemon.ts'
import { DaemonLog, type LogLine } from '../daemon-log.ts'
import { faultOf } from '../faults.ts'
import { slotsFreeMin } from '../limits.ts'
import type { OpenHost } from '../open-host.ts'
import type { Supervision } from '../supervision.ts'
import { SupervisorLink } from './link.ts'
import type { FromSupervisor, Slot } from './messages.ts'
import { SupervisedKeeper } from './supervised-keeper.ts'

export interface ServingProcessOptions {
  store: string
  openHost: OpenHost
  /** Loads what `openHost` will need. */
  prepare?: () => Promise<void>
  /** Does once what `openHost` will do, while the process waits. */
  practise?: () => Promise<void>
  /** Reads ahead, while the process waits, what these images' mounts do. */
  follow?: (store: string, images: readonly string[], secret?: Secret) => Promise<void>
}

/** Runs until the daemon was stopped, then ends the process. */
export async function runServingProcess(options: ServingProcessOptions): Promise<never> {
  const { store, openHost, prepare, practise = nothing, follow = nothing } = options
  process.umask(0o077)
  const log = new DaemonLog(null, process.stdout.fd).write
  process.on('uncaughtException', (error) => {
    log(`ends after a defect: ${error.stack ?? error.message}`)
    die()
  })
  // A signal meant for the daemon goes to its supervisor, which tells us; a terminal sends it to both.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => undefined)
  let daemon: Daemon | null = null
  const stop = (): void => void daemon?.stop({ force: true }).catch((error: unknown) => {
    log(`stopping failed: ${messageOf(error)}`)
  })
  // Nobody can reach this process any more, and it holds the store: a new daemon recovers what it leaves.
  const link = new SupervisorLink(() => {
    log('ends with its supervisor')
    die()
  })
  link.onStop = stop
  let [readiness, isOnDuty]: [Promise<void> | null, boolean] = [null, false]
  void link.order.then(() => (isOnDuty = true))
  link.onStandBy = ({ images, root }) => {
    readiness = (readiness ?? practise()).then(async () => {
      if (!isOnDuty) await follow(store, images, secretOf(root))
      link.tell({ type: 'standsBy' })
    })
  }
  link.onRetire = (waits) => daemon === null ? undefined : void retire(daemon, link, waits)
  await prepare?.()
  link.tell({ type: 'loaded' })
  daemon = await started(store, openHost, log, link)
  await daemon.ended
  process.exit(0)
}

async function retire(daemon: Daemon, link: SupervisorLink, waits: boolean): Promise<void> {
  if (!waits && !daemon.isIdle) return
  link.tell({ type: 'retiring' })
  await daemon.retire()
  // Else it was told to stop meanwhile, and ends by that.
  if (daemon.isIdle) die()
}

async function started(store: string, openHost: OpenHost, log: LogLine, link: SupervisorLink): Promise<Daemon> {
  const supervision = await supervisionOf(link, await link.order)
  try {
    const daemon = await Daemon.start(store, openHost, log, supervision)
    link.tell({ type: 'ready' })
    return daemon
  } catch (error) {
    log(`cannot start: ${messageOf(error)}`)
    link.tell({ type: 'refused', fault: faultOf(error) })
    // Not before the supervisor could read it: the channel is closed behind it.
    process.disconnect()
    return die()
  }
}

async function supervisionOf(
  link: SupervisorLink, order: Extract<FromSupervisor, { type: 'serve' }>,
): Promise<Supervision> {
  const { inherited, free, orphans, lost, root, replacements, startedMs, survivesKills } = order
  const slotOf = new Map(inherited.map((slot): [number, Slot] => [slot.slot, slot]))
  const keeper = new SupervisedKeeper(link, free.map((slot) => slotOf.get(slot)!), survivesKills)
  const used = new Set([...free, ...orphans.map(({ slot }) => slot)])
  for (const { slot, descriptor } of inherited) if (!used.has(slot)) new HeldDevice(descriptor).close()
  for (const directory of lost) await cleanStaleMount(directory)
  return {
    keeper, spawn: (request) => link.spawn(request), replacements, startedMs,
    secret: secretOf(root),
    orphans: orphans.map((mount) => keeper.orphan(slotOf.get(mount.slot)!, mount)),
    front: {
      pid: process.ppid,
      async open(accept) {
        link.onClient = accept
      },
      close: async () => void await link.ask({ type: 'stopping' }),
    },
    survivesKills: () => keeper.survivesKills,
    isWorn: () => keeper.freeCount < slotsFreeMin,
    replace: (ifIdle) => link.tell({ type: 'replace', ifIdle }),
  }
}

function secretOf(root: string | null): Secret | undefined {
  return root === null ? undefined : { kind: 'root', root }
}

async function nothing(): Promise<void> {}

function die(): never {
  process.kill(process.pid, 'SIGKILL')
  // The signal comes before this call returns.
  throw new Error('a killed process goes on')
}
