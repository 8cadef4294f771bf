/** Verbs on mounts. */
import { transportNames } from '../../mount/transport.ts'
import * as kinds from '../kinds.ts'
import { flag, option, optionWithDefault, positional } from '../parameters.ts'
import { verb } from '../verb.ts'

export const mountVerbs = {
  mount: verb({
    help: 'mount the head of an image',
    place: 'daemon',
    parameters: {
      image: positional(kinds.imageName, 'whose head'),
      directory: positional(kinds.hostDirectory, 'an empty directory'),
      transport: optionWithDefault(
        kinds.choice(...transportNames), 'kernel',
        'native goes through fuse-native and needs no root; it holds no machine’s memory, and writes 128 KiB at a time',
      ),
    },
    run: ({ host, signal, progress }, args) => host.mount(args, { signal, progress }),
  }),
  unmount: verb({
    help: 'unmount a directory; the head keeps what was written',
    place: 'anywhere',
    parameters: {
      directory: positional(kinds.hostDirectory, 'where it is mounted'),
      lazy: flag('detach now, even if files are open'),
      force: flag('end it under its users, who get errors: also where what serves it hangs'),
    },
    async run({ host }, args) {
      await host.unmount(args)
      return { directory: args.directory }
    },
  }),
  clean: verb({
    help: 'take away mounts, of any store, that no process serves any more',
    place: 'anywhere',
    parameters: { below: option(kinds.hostDirectory, 'only those below this directory') },
    run: async ({ host }, args) => ({ directories: await host.cleanMounts(args) }),
  }),
  mounts: verb({
    help: 'list the mounts',
    place: 'anywhere',
    parameters: {},
    run: async ({ host }) => host.mounts(),
  }),
}
