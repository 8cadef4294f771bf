/** Verbs on the daemon itself. */
import { assert } from '../../errors.ts'
import { flag } from '../parameters.ts'
import { verb, type DaemonControl, type VerbContext } from '../verb.ts'

export const daemonVerbs = {
  'daemon start': verb({
    help: 'start the daemon that serves the store’s mounts and machines',
    place: 'daemon',
    parameters: {},
    run: (context) => controlOf(context).status(),
  }),
  'daemon stop': verb({
    help: 'stop the daemon; refused while mounts are in use or machines run',
    place: 'control',
    parameters: { force: flag('unmount and end machines all the same') },
    run: (context, args) => controlOf(context).stop(args),
  }),
  'daemon restart': verb({
    help: 'replace the process that serves the mounts, after an upgrade; their users see a pause',
    place: 'control',
    parameters: {},
    run: (context) => controlOf(context).restart(),
  }),
  'daemon status': verb({
    help: 'describe the daemon',
    place: 'control',
    parameters: {},
    run: (context) => controlOf(context).status(),
  }),
}

function controlOf(context: VerbContext): DaemonControl {
  assert(context.control !== undefined, 'a verb about the daemon runs in the daemon')
  return context.control
}
