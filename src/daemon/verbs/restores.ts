/** Verbs that read from replicas. */
import * as kinds from '../kinds.ts'
import { flag, hidden, option, positional } from '../parameters.ts'
import { verb } from '../verb.ts'

/** The command line fills them in where the replica turns out to need them. */
const secret = {
  keyFile: hidden(kinds.hostPath, 'what opens an encrypted replica'), passphrase: hidden(kinds.text, 'or this'),
}
const url = positional(kinds.replicaUrl, 'the replica: file:///DIR or webhdfs://HOST:PORT/PATH?user=NAME')

export const restoreVerbs = {
  restore: verb({
    help: 'bring an image from a replica into this store, which is made if it is missing; its chunks follow',
    place: 'daemon of a new store',
    parameters: {
      url,
      target: positional(kinds.target, 'what to restore; without @N the newest epoch'),
      as: option(kinds.newImageName, 'a fork of this name: whoever owns the original goes on'),
      full: flag('return when all of the epoch is here'),
      takeover: flag('become the owner although the one before was seen lately; what it seals becomes a fork'),
      resume: flag('resume its machine while it comes'),
      ...secret,
    },
    checkTogether({ as, takeover }) {
      if (as !== undefined && takeover) throw kinds.usage('--takeover is for the image itself, --as makes a fork')
    },
    run: ({ host, signal, progress }, args) => host.restore(args, { signal, progress }),
  }),
  'replica images': verb({
    help: 'list the images of a replica; needs no store',
    place: 'aside',
    parameters: { url, ...secret },
    async run({ signal }, { url: from, ...given }) {
      const { replicaImages } = await import('../replica-images.ts')
      return replicaImages(from, { signal }, given)
    },
  }),
}
