/** Verbs on machines. */
import { HoldfastError } from '../../errors.ts'
import { MIB } from '../../limits.ts'
import * as kinds from '../kinds.ts'
import { waitTimeMsMax } from '../limits.ts'
import { flag, option, optionalPositional, optionWithDefault, positional, repeatedOption, rest } from '../parameters.ts'
import { verb } from '../verb.ts'
import { checkWaiting } from './waiting.ts'

const image = positional(kinds.imageName, 'the machine’s image')
const dayMs = 86_400_000

export const machineVerbs = {
  'vm start': verb({
    help: 'start a machine from the head of an image',
    place: 'daemon',
    parameters: {
      image,
      disk: repeatedOption(kinds.imagePath, 'a raw disk in the image; without one, the only file in its root'),
      memory: optionWithDefault(kinds.size(MIB, 2 ** 46), '512M', 'the guest’s memory'),
      cpus: optionWithDefault(kinds.count(1, 512), '1', 'virtual processors'),
      accel: optionWithDefault(kinds.choice('auto', 'kvm', 'tcg'), 'auto', 'accelerator; auto tries KVM first'),
      machine: optionWithDefault(kinds.text, 'q35', 'machine type: q35, microvm, or a versioned name'),
      cpu: option(kinds.text, 'processor model'),
      kernel: option(kinds.hostPath, 'a kernel to boot; without one the disk boots'),
      initrd: option(kinds.hostPath, 'its initial RAM disk'),
      append: option(kinds.text, 'its command line'),
      network: optionWithDefault(kinds.choice('none', 'user'), 'none', 'the guest’s network'),
      forward: repeatedOption(kinds.text, 'a host port for the guest, such as tcp:127.0.0.1:2222-:22'),
      extra: rest(kinds.text, 'more arguments for the hypervisor'),
    },
    checkTogether({ kernel, initrd, append, network, forward }) {
      if (kernel === undefined && (initrd ?? append) !== undefined) {
        throw kinds.usage('--initrd and --append need --kernel')
      }
      if (network === 'none' && forward.length > 0) throw kinds.usage('--forward needs --network user')
    },
    run: ({ host, signal, progress }, args) => host.startMachine({
      image: args.image, disks: args.disk, memoryBytes: args.memory, cpus: args.cpus,
      accelerator: args.accel, machineType: args.machine, cpuModel: args.cpu,
      kernel: args.kernel, initrd: args.initrd, append: args.append,
      network: args.network, hostForwards: args.forward, extraArguments: args.extra,
    }, { signal, progress }),
  }),
  'vm checkpoint': verb({
    help: 'seal disks, memory and device state as one epoch, or with --every set a schedule',
    place: 'daemon',
    parameters: {
      image,
      every: option(kinds.period(100, 30 * dayMs), 'checkpoint again and again, in the daemon; "off" ends it'),
      note: option(kinds.note, 'a remark kept with the epoch'),
      waitReplicas: option(kinds.count(1, 16), 'return when so many replicas have it; exit code 6 when they have not'),
      waitTime: option(kinds.duration(1, waitTimeMsMax), 'how long to wait for replicas; without it a minute'),
    },
    checkTogether({ every, note, waitReplicas, waitTime }) {
      checkWaiting({ waitReplicas, waitTime })
      if (every !== undefined && waitReplicas !== undefined) {
        throw kinds.usage('--wait-replicas belongs to one checkpoint, not to --every')
      }
      if (every !== undefined && note !== undefined) {
        throw kinds.usage('--note belongs to one checkpoint, not to --every')
      }
    },
    async run({ host, signal, progress }, args) {
      if (args.every === undefined) {
        const { image: of, note, waitReplicas, waitTime: waitTimeMs } = args
        const taken = await host.checkpoint({ image: of, note, waitReplicas, waitTimeMs }, { signal, progress })
        return { kind: 'taken' as const, ...taken }
      }
      const everyMs = args.every === 0 ? null : args.every
      return { kind: 'scheduled' as const, machine: await host.scheduleCheckpoints({ image: args.image, everyMs }) }
    },
  }),
  'vm resume': verb({
    help: 'resume a machine from an epoch; without @N from the newest that has machine state',
    place: 'daemon',
    parameters: {
      target: positional(kinds.target, 'where to resume from'),
      as: option(kinds.newImageName, 'resume a new fork of this name beside the original'),
      discard: flag('drop what the head holds instead of sealing it'),
    },
    run: ({ host, signal, progress }, args) => host.resumeMachine(args, { signal, progress }),
  }),
  'vm stop': verb({
    help: 'ask the guest to power down; one that does not goes on, and that is said',
    place: 'daemon',
    parameters: { image, force: flag('do not ask: end the hypervisor') },
    run: ({ host, signal, progress }, args) => host.stopMachine(args, { signal, progress }),
  }),
  'vm status': verb({
    help: 'describe the machines',
    place: 'anywhere',
    parameters: { image: optionalPositional(kinds.imageName, 'only this image’s') },
    run: ({ host }, args) => host.machines(args.image === undefined ? {} : { image: args.image }),
  }),
  'vm console': verb({
    help: 'attach to a machine’s serial console; Ctrl-] leaves',
    place: 'anywhere',
    parameters: { image },
    async run({ host }, args) {
      const machine = (await host.machines(args)).at(0)
      if (machine === undefined) throw new HoldfastError('NOT_FOUND', `image ${args.image} has no machine`)
      return { image: machine.image, console: machine.console }
    },
  }),
}
