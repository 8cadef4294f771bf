/** Verbs on the keys of an encrypted store. */
import * as kinds from '../kinds.ts'
import { hidden, option, optionalPositional, positional } from '../parameters.ts'
import { verb } from '../verb.ts'

const slot = kinds.count(1, 2 ** 31, 'SLOT')
/** The command line asks for the passphrase where no file is named. */
const newSecret = {
  newKeyFile: option(kinds.hostPath, 'a file of 32 random bytes or more; without it a new passphrase is asked for'),
  newPassphrase: hidden(kinds.text, 'a new passphrase'),
}

export const keyVerbs = {
  'key list': verb({
    help: 'list the key slots: the secrets, each of which opens the store',
    place: 'anywhere',
    parameters: {},
    run: ({ host }) => host.engine.keys({ action: 'list' }),
  }),
  'key add': verb({
    help: 'let one more passphrase or key file open the store',
    place: 'anywhere',
    parameters: newSecret,
    run: ({ host }, args) => host.engine.keys({ action: 'add', secret: secretOf(args) }),
  }),
  'key remove': verb({
    help: 'empty a key slot: its secret no longer opens the store, though copies of its keys may be about',
    place: 'anywhere',
    parameters: { slot: positional(slot, 'the slot') },
    run: ({ host }, args) => host.engine.keys({ action: 'remove', slot: args.slot }),
  }),
  'key change': verb({
    help: 'put another passphrase or key file into a slot; nothing else is written',
    place: 'anywhere',
    parameters: {
      slot: optionalPositional(slot, 'the slot; without it the one that was used, or the only one'), ...newSecret,
    },
    run: ({ host }, args) => host.engine.keys({ action: 'change', slot: args.slot, secret: secretOf(args) }),
  }),
  'key rotate-master': verb({
    help: 'make new keys and seal the whole store with them; only the secret that is given opens it then',
    place: 'alone',
    parameters: {},
    run: ({ host, signal, progress }) => host.rotateKeys({ signal, progress }),
  }),
}

function secretOf(given: { newKeyFile?: string; newPassphrase?: string }): { keyFile?: string; passphrase?: string } {
  return { keyFile: given.newKeyFile, passphrase: given.newPassphrase }
}
