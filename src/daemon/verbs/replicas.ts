/** Verbs on replicas. */
import * as kinds from '../kinds.ts'
import { flag, option, optionalPositional, positional } from '../parameters.ts'
import { verb } from '../verb.ts'

const name = positional(kinds.replicaName, 'the replica')

export const replicaVerbs = {
  'replica add': verb({
    help: 'keep all epochs on another place, too; the first one decides who may write',
    place: 'anywhere',
    parameters: {
      name,
      url: positional(kinds.replicaUrl, 'file:///DIR or webhdfs://HOST:PORT/PATH?user=NAME'),
      authority: flag('refuse unless this replica is the one that decides who may write'),
      bandwidth: option(kinds.size(1024, 2 ** 40), 'bytes a second that may be sent'),
    },
    async run({ host, signal }, { bandwidth, ...args }) {
      return host.replicas.add({ ...args, bytesPerSecondMax: bandwidth ?? null }, { signal })
    },
  }),
  'replica list': verb({
    help: 'list the replicas',
    place: 'anywhere',
    parameters: {},
    run: async ({ host }) => host.replicas.list(),
  }),
  'replica status': verb({
    help: 'tell how far each replica is',
    place: 'anywhere',
    parameters: {},
    run: ({ host }) => host.replicas.status(),
  }),
  'replica sync': verb({
    help: 'bring all to a replica, or to every one, and look again at what is there',
    place: 'anywhere',
    parameters: { name: optionalPositional(kinds.replicaName, 'only this replica') },
    run: ({ host, signal, progress }, args) => host.replicas.sync(args, { signal, progress }),
  }),
  'replica remove': verb({
    help: 'forget a replica; what is there stays there',
    place: 'anywhere',
    parameters: { name },
    run: ({ host }, args) => host.replicas.remove(args),
  }),
}
