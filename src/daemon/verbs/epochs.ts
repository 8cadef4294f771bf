/** Verbs on images and their epochs. */
import * as kinds from '../kinds.ts'
import { waitTimeMsMax } from '../limits.ts'
import { flag, option, optionWithDefault, positional, repeatedOption } from '../parameters.ts'
import { verb } from '../verb.ts'
import { checkWaiting } from './waiting.ts'

export const epochVerbs = {
  create: verb({
    help: 'make an image, its bases taken into the store as epoch 0',
    place: 'anywhere',
    parameters: {
      image: positional(kinds.imageName, 'the new image'),
      base: repeatedOption(kinds.hostPath, 'a file, or at most one directory whose content becomes the root'),
    },
    run: ({ host, signal, progress }, args) => host.engine.createImage(args, { signal, progress }),
  }),
  images: verb({
    help: 'list the images',
    place: 'anywhere',
    parameters: {},
    run: ({ host }) => host.engine.images(),
  }),
  log: verb({
    help: 'list the epochs of an image, oldest first',
    place: 'anywhere',
    parameters: { image: positional(kinds.imageName, 'whose epochs') },
    run: ({ host }, args) => host.engine.log(args),
  }),
  show: verb({
    help: 'describe an epoch',
    place: 'anywhere',
    parameters: { epoch: positional(kinds.epochAddress, 'the epoch') },
    run: ({ host }, args) => host.engine.show(args),
  }),
  diff: verb({
    help: 'list what differs between two epochs',
    place: 'anywhere',
    parameters: {
      before: positional(kinds.epochAddress, 'the epoch to compare with'),
      after: positional(kinds.epochAddress, 'the epoch that is compared'),
    },
    run: ({ host, signal, progress }, args) => host.engine.diff(args, { signal, progress }),
  }),
  seal: verb({
    help: 'seal the head of an image, mounted or not, as its next epoch',
    place: 'anywhere',
    parameters: {
      image: positional(kinds.imageName, 'whose head'),
      note: option(kinds.note, 'a remark kept with the epoch'),
      waitReplicas: option(kinds.count(1, 16), 'return when so many replicas have it; exit code 6 when they have not'),
      waitTime: option(kinds.duration(1, waitTimeMsMax), 'how long to wait for replicas; without it a minute'),
    },
    checkTogether: checkWaiting,
    run: ({ host, signal, progress }, { waitTime, ...args }) => {
      return host.seal({ ...args, waitTimeMs: waitTime }, { signal, progress })
    },
  }),
  pin: verb({
    help: 'keep an epoch from being removed',
    place: 'anywhere',
    parameters: { epoch: positional(kinds.epochAddress, 'the epoch') },
    run: ({ host }, { epoch }) => host.engine.pin({ epoch, pinned: true }),
  }),
  unpin: verb({
    help: 'let a pinned epoch be removed again',
    place: 'anywhere',
    parameters: { epoch: positional(kinds.epochAddress, 'the epoch') },
    run: ({ host }, { epoch }) => host.engine.pin({ epoch, pinned: false }),
  }),
  rm: verb({
    help: 'remove an image with all its epochs, or one epoch',
    place: 'anywhere',
    parameters: { target: positional(kinds.target, 'what to remove') },
    run: ({ host }, args) => host.engine.remove(args),
  }),
  fork: verb({
    help: 'make a new image that begins at an epoch',
    place: 'anywhere',
    parameters: {
      epoch: positional(kinds.epochAddress, 'where the new image begins'),
      image: positional(kinds.newImageName, 'the new image'),
    },
    run: ({ host }, args) => host.engine.fork(args),
  }),
  rollback: verb({
    help: 'set the head of an image back to an epoch; what the head held is sealed first',
    place: 'anywhere',
    parameters: {
      epoch: positional(kinds.epochAddress, 'where to go back to'),
      discard: flag('drop what the head holds instead of sealing it'),
    },
    run: ({ host }, args) => host.engine.rollback(args),
  }),
  export: verb({
    help: 'write a file of an epoch as a plain, sparse file',
    place: 'anywhere',
    parameters: {
      source: positional(kinds.fileAddress, 'the file'),
      file: positional(kinds.outputPath, 'where to write it; "-" is standard output'),
      format: optionWithDefault(kinds.choice('raw', 'qcow2'), 'raw', 'how to write it; qcow2 needs qemu-img'),
    },
    async run({ host, signal, progress }, { source, file, format }) {
      if (file === '-') throw kinds.usage('"-" is known to the command line only: give a path')
      return host.engine.exportFile({ ...kinds.splitFileAddress(source), file, format }, { signal, progress })
    },
  }),
}
