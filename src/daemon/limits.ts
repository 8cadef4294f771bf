/** Sizes, counts and times of the control socket and the daemon's process, each with its reason. */
import { KIB, MIB } from '../limits.ts'
import { assert } from '../errors.ts'

/** One request line: a command line's worth of arguments (Linux allows 2 MiB, people use a few hundred bytes). */
export const requestBytesMax = MIB
/** One reply line: a diff of some hundred thousand files. A client reads no more than this into memory. */
export const replyBytesMax = 256 * MIB
/** Clients connected at once; each costs a descriptor and some buffers. */
export const clientsMax = 256
/** Calls that one client may have under way; more wait for no one and are refused. */
export const clientCallsMax = 64
/** A client that says nothing at all is dropped after this. */
export const helloTimeoutMs = 10_000
/** A client that is sent to another process hangs up at once, if it listens. */
export const moveTimeMsMax = 1000
/** Progress of one call is sent no more often than this: it is for people. */
export const progressIntervalMs = 100
/** Progress is dropped, never queued, while a client is behind by this much. */
export const progressBacklogBytesMax = 64 * KIB

/** `sockaddr_un.sun_path` is 108 bytes with its final NUL; longer paths go through a descriptor. */
export const socketPathBytesMax = 107
/** The daemon's log is moved aside (one old copy is kept) at this size. */
export const logFileBytesMax = 4 * MIB
/** What of the log is shown when the daemon died before it could say why. */
export const logTailBytes = 2 * KIB
/** Threads for Node's file calls: a slow fsync per disk must not hold up the others. */
export const threadPoolThreads = 16

/** Devices that a serving process inherits for mounts to come; each open one costs the kernel a few hundred bytes. */
export const slotsFree = 256
/** With fewer left, and nothing else to do, the serving process is replaced by one with new devices. */
export const slotsFreeMin = 16
/** A process that dies sooner after it began is taken for one that cannot live. */
export const earlyDeathMs = 200
/** So many early deaths in a row, and clients are told of it instead of waiting. */
export const earlyDeathsMax = 6
/** Delay after the second early death; it doubles with each further one. */
export const restartDelayMs = 100
export const restartDelayMsMax = 30_000
/** A serving process whose supervisor was killed ends when its channel closes: some milliseconds, if it may run. */
export const deathTimeMsMax = 10_000
export const deathPollMs = 10

/** So many crashes of one mount's serving threads within this time, and it is given up: its users get errors. */
export const crashesMax = 3
export const crashWindowMs = 60_000

/** How long a replica that is being added may take to answer: somebody waits. */
export const replicaProbeTimeoutMs = 20_000
/** How long a seal waits for replicas if nothing is said: then it is incomplete, and they get it by themselves. */
export const waitTimeMsDefault = 60_000
/** And what may be said: a day. */
export const waitTimeMsMax = 86_400_000

/** One text argument: fits one argument of a command line. */
export const textBytesMax = 128 * KIB
/** PATH_MAX with its final NUL taken off. */
export const pathBytesMax = 4095
/** How long a check may be told to read: longer is the same as for ever. */
export const readTimeMsMax = 30 * 24 * 3_600_000
/** Values of one repeated option. */
export const repeatedValuesMax = 1024
/** Retention: more than any image has epochs, a century, and as many steps as anybody needs. */
export const epochsKeptMax = 1_000_000_000
export const keepWithinMsMax = 100 * 366 * 86_400_000
export const thinningBytesMax = 400
/** Collections by a schedule: one timer holds no longer time (2^31 ms). */
export const garbagePeriodMsMax = 24 * 86_400_000
/** A daemon that starts has other things to do than to collect garbage that is due. */
export const garbageDelayMsMin = 1000

assert(textBytesMax < requestBytesMax, 'a request holds its largest argument')
