/** Verbs on the store as a whole. */
import * as kinds from '../kinds.ts'
import { readTimeMsMax } from '../limits.ts'
import { flag, option, repeatedOption } from '../parameters.ts'
import { verb } from '../verb.ts'
import { retentionParameters, rulesOf } from './retention.ts'

export const storeVerbs = {
  init: verb({
    help: 'make a store; an encrypted one opens with a passphrase or key file only',
    place: 'create',
    parameters: { encrypt: flag('encrypt it: --key-file names the key, else a passphrase is asked for') },
    run: ({ host }) => host.engine.stats(),
  }),
  stats: verb({
    help: 'count what the store holds',
    place: 'anywhere',
    parameters: {},
    run: ({ host }) => host.engine.stats(),
  }),
  check: verb({
    help: 'look for damage; exit code 5 when there is some',
    place: 'anywhere',
    parameters: {
      readData: flag('read and verify every record, not only headers and references'),
      sample: option(kinds.percentage, 'with --read-data: only this share of the records'),
      time: option(kinds.duration(1000, readTimeMsMax), 'with --read-data: read for so long, say what was left out'),
      repair: flag('put right what can be; what is replaced goes to the quarantine of the store'),
      from: repeatedOption(kinds.hostPath, 'with --repair: a file or directory where lost chunks may be found'),
    },
    checkTogether({ sample, readData, time, repair, from }) {
      if (sample !== undefined && !readData) throw kinds.usage('--sample needs --read-data')
      if (time !== undefined && !readData) throw kinds.usage('--time needs --read-data')
      if (from.length > 0 && !repair) throw kinds.usage('--from needs --repair')
    },
    run: ({ host, signal, progress }, { time, ...args }) =>
      host.engine.check({ ...args, timeMs: time }, { signal, progress }),
  }),
  gc: verb({
    help: 'remove epochs that no rule keeps, and then all that nobody needs; without a rule every epoch stays',
    place: 'anywhere',
    parameters: {
      image: repeatedOption(kinds.imageName, 'apply the rules to this image only'),
      ...retentionParameters,
      maxUnused: option(kinds.shareOrNone, 'how much of a pack may be garbage before it is rewritten; default 25%'),
      dryRun: flag('say what would go, and change nothing'),
    },
    run: ({ host, signal, progress }, { image, maxUnused, dryRun, ...rules }) => {
      const images = image.length === 0 ? undefined : image
      return host.engine.collectGarbage({ ...rulesOf(rules), images, maxUnused, dryRun }, { signal, progress })
    },
  }),
  'index rebuild': verb({
    help: 'make the index again from the packs',
    place: 'anywhere',
    parameters: {},
    run: ({ host, signal, progress }) => host.engine.rebuildIndex({ signal, progress }),
  }),
}
