/**
 * The table of verbs. Each stands here once: the command line makes its parser and help from it, the daemon
 * its requests, the library its methods.
 */
import { HoldfastError } from '../errors.ts'
import { checkArguments, type Values } from './parameters.ts'
import type { Verb } from './verb.ts'
import { daemonVerbs } from './verbs/daemons.ts'
import { epochVerbs } from './verbs/epochs.ts'
import { keyVerbs } from './verbs/keys.ts'
import { machineVerbs } from './verbs/machines.ts'
import { mountVerbs } from './verbs/mounts.ts'
import { replicaVerbs } from './verbs/replicas.ts'
import { restoreVerbs } from './verbs/restores.ts'
import { storeVerbs } from './verbs/stores.ts'

export const verbs = Object.freeze({
  ...storeVerbs, ...keyVerbs, ...epochVerbs, ...mountVerbs, ...machineVerbs, ...replicaVerbs, ...restoreVerbs,
  ...daemonVerbs,
})

export type VerbName = keyof typeof verbs
/** Checked arguments of a verb. */
export type ArgumentsOf<V extends VerbName> = Values<(typeof verbs)[V]['parameters']>
/** Arguments as a caller may give them: what is optional may be left out. */
export type GivenOf<V extends VerbName> = Partial<ArgumentsOf<V>>
export type ResultOf<V extends VerbName> = Awaited<ReturnType<(typeof verbs)[V]['run']>>

export const verbNames = Object.freeze(Object.keys(verbs)) as readonly VerbName[]

export function isVerbName(name: unknown): name is VerbName {
  return typeof name === 'string' && Object.hasOwn(verbs, name)
}

/** The verb of that name with its types forgotten, for those who treat all alike (USAGE when there is none). */
export function verbNamed(name: unknown): Verb {
  if (!isVerbName(name)) throw new HoldfastError('USAGE', `there is no command ${JSON.stringify(name)?.slice(0, 100)}`)
  return verbs[name] as unknown as Verb
}

/** Checks arguments that came as JSON against a verb's parameters (USAGE, BAD_NAME); nothing is done before. */
export function checkedArguments(verb: Verb, given: unknown): Record<string, unknown> {
  const args = checkArguments(verb.parameters, given)
  verb.checkTogether?.(args)
  return args
}
