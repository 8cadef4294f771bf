/** How each verb's result is told to people. Every verb of the table has an entry: the compiler sees to it. */
import type { ResultOf, VerbName } from '../../daemon/verbs.ts'
import { checkText } from './check.ts'
import { diffText, epochLine, imagesText, logText, showText, statsText } from './epochs.ts'
import { garbageText } from './garbage.ts'
import { keysText } from './keys.ts'
import { checkpointText, daemonText, machineText, machinesText, mountsText, resumeText } from './machines.ts'
import { reachedText, replicaStatusText, replicasText } from './replicas.ts'
import { replicaImagesText, restoreText } from './restores.ts'
import { bytesText, countText, millisecondsText } from './units.ts'

type Texts = { readonly [V in VerbName]: (result: ResultOf<V>, nowMs: number) => string }

const texts: Texts = {
  init: (stats) => `made a${stats.encrypted ? 'n encrypted' : ''} store at ${stats.directory}`,
  stats: statsText,
  check: checkText,
  gc: garbageText,
  'index rebuild': ({ packs, records }) => `indexed ${countText(records, 'record')} of ${countText(packs, 'pack')}`,
  'key list': keysText,
  'key add': ({ changed }) => `slot ${changed} opens the store, too`,
  'key remove': keysText,
  'key change': ({ changed }) => `slot ${changed} has a new secret`,
  'key rotate-master': ({ keyId, slots }) => `all is sealed with data key ${keyId}; slot ${slots[0].slot} opens it`,
  create: ({ image, newest }) => `made ${image}@${newest}`,
  images: imagesText,
  log: logText,
  show: showText,
  diff: diffText,
  seal: ({ epoch, barrierMs, commitMs, replicas }) => {
    const times = `barrier ${millisecondsText(barrierMs)}, commit ${millisecondsText(commitMs)}`
    return `${epochLine(epoch)}; ${times}${reachedText(replicas)}`
  },
  pin: ({ image, number }) => `pinned ${image}@${number}`,
  unpin: ({ image, number }) => `unpinned ${image}@${number}`,
  rm: ({ removedEpochs }) => `removed ${countText(removedEpochs, 'epoch')}`,
  fork: ({ image, newest }) => `made ${image}@${newest}`,
  rollback: ({ sealed, head }) =>
    `${sealed === null ? '' : `${epochLine(sealed)}\n`}the head is at ${head.image}@${head.number}`,
  export: ({ bytes, dataBytes }) => `wrote ${bytesText(bytes)}, ${bytesText(dataBytes)} of it data`,
  mount: ({ image, directory }) => `${image} is mounted on ${directory}`,
  unmount: ({ directory }) => `unmounted ${directory}`,
  clean: ({ directories }) => directories.map((directory) => `unmounted ${directory}`).join('\n') || 'nothing to clean',
  mounts: mountsText,
  'vm start': machineText,
  'vm checkpoint': checkpointText,
  'vm resume': resumeText,
  'vm stop': machineText,
  'vm status': machinesText,
  'vm console': ({ image, console: path }) => `the console of ${image} is ${path}`,
  'replica add': ({ name, isAuthority }) => `added ${name}${isAuthority ? ', which decides who may write' : ''}`,
  'replica list': replicasText,
  'replica status': replicaStatusText,
  'replica sync': replicaStatusText,
  'replica remove': ({ name }) => `removed ${name}; what is there stays there`,
  restore: restoreText,
  'replica images': replicaImagesText,
  'daemon start': daemonText,
  'daemon stop': () => 'no daemon runs',
  'daemon restart': daemonText,
  'daemon status': daemonText,
}

/** The result of a verb as text; `nowMs` is the wall clock, for ages. */
export function resultText(verb: VerbName, result: unknown, nowMs: number): string {
  // The table gives each verb's text its own result; a name alone cannot tell the compiler which.
  const text = texts[verb] as (result: unknown, nowMs: number) => string
  return text(result, nowMs)
}
