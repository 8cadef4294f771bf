/** Verbs on mounts. */
import * as kinds from '../kinds.ts'
import { flag, positional } from '../parameters.ts'
import { verb } from '../verb.ts'

export const mountVerbs = {
  mount: verb({
    help: 'mount the head of an image',
    place: 'daemon',
    parameters: {
      image: positional(kinds.imageName, 'whose head'),
      directory: positional(kinds.hostDirectory, 'an empty directory'),
    },
    run: ({ host, signal, progress }, args) => host.mount(args, { signal, progress }),
  }),
  unmount: verb({
    help: 'unmount a directory; the head keeps what was written',
    place: 'anywhere',
    parameters: {
      directory: positional(kinds.hostDirectory, 'where it is mounted'),
      lazy: flag('detach now, even if files are open'),
    },
    async run({ host }, args) {
      await host.unmount(args)
      return { directory: args.directory }
    },
  }),
  mounts: verb({
    help: 'list the mounts',
    place: 'anywhere',
    parameters: {},
    run: async ({ host }) => host.mounts(),
  }),
}
