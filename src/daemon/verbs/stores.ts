/** Verbs on the store as a whole. */
import * as kinds from '../kinds.ts'
import { garbagePeriodMsMax, readTimeMsMax } from '../limits.ts'
import { flag, option, repeatedOption } from '../parameters.ts'
import { verb } from '../verb.ts'
import { garbageParameters, isGiven } from './retention.ts'

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
      from: repeatedOption(kinds.repairSource, 'with --repair: a file or directory with lost chunks, or a replica'),
    },
    checkTogether({ sample, readData, time, repair, from }) {
      if (sample !== undefined && !readData) throw kinds.usage('--sample needs --read-data')
      if (time !== undefined && !readData) throw kinds.usage('--time needs --read-data')
      if (from.length > 0 && !repair) throw kinds.usage('--from needs --repair')
    },
    async run({ host, signal, progress }, { time, from, ...args }) {
      const wanted = { ...args, timeMs: time, from: from.filter((each) => !kinds.isReplicaUrl(each)) }
      if (!args.repair) return host.engine.check(wanted, { signal, progress })
      const urls = [...from.filter(kinds.isReplicaUrl), ...host.replicas.list().map(({ url }) => url)]
      await host.reading.alsoFrom(urls)
      const { copies, faults, notes } = await host.reading.epochRecords(urls, { signal, progress })
      const report = await host.engine.check({ ...wanted, copies }, { signal, progress })
      return { ...report, damaged: [...report.damaged, ...faults], notes: [...report.notes, ...notes] }
    },
  }),
  gc: verb({
    help: 'remove epochs that no rule keeps, and then all that nobody needs; without a rule every epoch stays',
    place: 'anywhere',
    parameters: {
      ...garbageParameters,
      every: option(kinds.period(1000, garbagePeriodMsMax), 'again and again, while a daemon runs; "off" ends it'),
      dryRun: flag('say what would go, and change nothing'),
      forget: repeatedOption(kinds.imageName, 'remove an image from the replicas that was removed from this store'),
    },
    checkTogether({ every, dryRun, forget, ...rules }) {
      if (every !== undefined && dryRun) throw kinds.usage('--dry-run belongs to one collection, not to --every')
      if (every !== undefined && forget.length > 0) throw kinds.usage('--forget is done once, not with --every')
      if (rules.localOnly && forget.length > 0) throw kinds.usage('--forget is about replicas: leave --local-only out')
      if (every === 0 && isGiven(rules)) throw kinds.usage('--every off takes no rules')
    },
    async run({ host, signal, progress }, { every, dryRun, forget, ...rules }) {
      if (every === undefined) {
        const outcome = await host.garbage.collect(rules, dryRun, { signal, progress, forget })
        return { kind: 'collected' as const, ...outcome }
      }
      const wanted = every === 0 ? null : { everyMs: every, rules }
      return { kind: 'scheduled' as const, ...await host.garbage.schedule(wanted) }
    },
  }),
  'index rebuild': verb({
    help: 'make the index again from the packs',
    place: 'anywhere',
    parameters: {},
    run: ({ host, signal, progress }) => host.engine.rebuildIndex({ signal, progress }),
  }),
}
