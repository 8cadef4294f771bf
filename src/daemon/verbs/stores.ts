/** Verbs on the store as a whole. */
import * as kinds from '../kinds.ts'
import { flag, option } from '../parameters.ts'
import { verb } from '../verb.ts'

export const storeVerbs = {
  init: verb({
    help: 'make a store',
    place: 'create',
    parameters: {},
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
      repair: flag('put right what can be'),
    },
    checkTogether({ sample, readData }) {
      if (sample !== undefined && !readData) throw kinds.usage('--sample needs --read-data')
    },
    run: ({ host, signal, progress }, args) => host.engine.check(args, { signal, progress }),
  }),
  'index rebuild': verb({
    help: 'make the index again from the packs',
    place: 'anywhere',
    parameters: {},
    run: ({ host, signal, progress }) => host.engine.rebuildIndex({ signal, progress }),
  }),
}
