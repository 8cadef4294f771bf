/** What the demo can be told, and its help. */
import { parseArgs } from 'node:util'
import { DemoFailure } from './failure.ts'

export interface DemoOptions {
  /** The period of the checkpoints as the command line takes it. */
  readonly every: string
  readonly everyMs: number
  /** Checkpoints to wait for before the hypervisor is killed. */
  readonly epochsCount: number
  /** Node A checkpoints to HDFS and is lost, node B resumes. */
  readonly hdfs: boolean
  readonly machine: 'microvm' | 'q35'
  readonly memory: string
  readonly accelerator: 'auto' | 'kvm' | 'tcg'
  /** Leave the store where it is. */
  readonly keep: boolean
  /** The result as one JSON document on stdout; the story goes to stderr. */
  readonly json: boolean
  readonly help: boolean
}

export const help = `usage: npm run demo [-- OPTIONS]

  --every TIME      period of the checkpoints (5s)
  --epochs N        checkpoints before the hypervisor is killed (5)
  --hdfs            checkpoint to a real HDFS, lose the node, resume on another one
  --machine TYPE    microvm or q35 (microvm)
  --memory SIZE     the guest's memory (512M)
  --accel NAME      auto, kvm or tcg (auto)
  --keep            keep the store and say where it is
  --json            the result as JSON on standard output, the story on standard error
`

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 }

/** @throws DemoFailure for words that are none of the options. */
export function readOptions(words: readonly string[]): DemoOptions {
  const { every, epochs, hdfs, machine, memory, accel, keep, json, help: asked } = parse(words)
  return Object.freeze({
    every,
    everyMs: periodMs(every),
    epochsCount: wholeNumber(epochs),
    hdfs,
    machine: oneOf('--machine', machine, ['microvm', 'q35']),
    memory,
    accelerator: oneOf('--accel', accel, ['auto', 'kvm', 'tcg']),
    keep, json, help: asked,
  })
}

function parse(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      options: {
        every: { type: 'string', default: '5s' },
        epochs: { type: 'string', default: '5' },
        hdfs: { type: 'boolean', default: false },
        machine: { type: 'string', default: 'microvm' },
        memory: { type: 'string', default: '512M' },
        accel: { type: 'string', default: 'auto' },
        keep: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values
  } catch (error) {
    throw new DemoFailure(`${(error as Error).message}\n\n${help}`)
  }
}

function periodMs(word: string): number {
  const match = /^(\d{1,6}(?:\.\d{1,3})?)(ms|s|m)$/.exec(word)
  const ms = match === null ? NaN : Number(match[1]) * UNIT_MS[match[2]]
  if (!(ms >= 100)) throw new DemoFailure(`--every takes a time of at least 100ms, such as 5s, not "${word}"`)
  return ms
}

/** The last epoch is resumed and an older one is forked: that takes two. */
function wholeNumber(word: string): number {
  const number = /^\d{1,6}$/.test(word) ? Number(word) : NaN
  if (!(number >= 2)) throw new DemoFailure(`--epochs takes a whole number from 2, not "${word}"`)
  return number
}

function oneOf<const T extends string>(option: string, word: string, choices: readonly T[]): T {
  const found = choices.find((each) => each === word)
  if (found === undefined) throw new DemoFailure(`${option} takes ${choices.join(' or ')}, not "${word}"`)
  return found
}
