import { tscKhz } from './tsc.ts'

/** The file system of the guest's disk (`build/build.sh` gives it this id). */
export const diskUuid = '4f0dfa57-0000-4000-8000-000000000001'

/** What the guest does; `files/workload.py` says what each option means. */
export interface AppendOptions {
  readonly workload?: 'sqlite' | 'memory' | 'idle' | 'none'
  readonly intervalMs?: number
  readonly payloadBytes?: number
  readonly journal?: 'wal' | 'delete' | 'truncate' | 'persist'
  readonly memoryMib?: number
  /** false gives the serial line to a root shell for people. */
  readonly agent?: boolean
  /** More words for the kernel. */
  readonly extra?: string
}

/** The kernel's command line for a guest that this host runs. */
export function append(options: AppendOptions = {}): string {
  return `${portableAppend(options)} tsc_early_khz=${tscKhz()}`
}

/**
 * The kernel's command line without what only this host knows. `panic=-1` restarts at once after a panic, so that with
 * `-no-reboot` the hypervisor ends and a test sees it; network devices keep the name eth0; entropy is taken from the
 * processor, not waited for; the kernel does not suspect the time stamp counter, which looks bad on a busy host.
 */
export function portableAppend(options: AppendOptions = {}): string {
  const words = [
    'console=ttyS0', `root=UUID=${diskUuid}`, 'panic=-1', 'net.ifnames=0', 'random.trust_cpu=on', 'tsc=reliable',
    'systemd.show_status=0', 'loglevel=4', `workload=${options.workload ?? 'sqlite'}`,
    ...numbered('workload.interval_ms', options.intervalMs),
    ...numbered('workload.payload_bytes', options.payloadBytes),
    ...numbered('workload.memory_mib', options.memoryMib),
  ]
  if (options.journal !== undefined) words.push(`workload.journal=${options.journal}`)
  if (options.agent === false) words.push('agent=off')
  if (options.extra !== undefined) words.push(options.extra)
  return words.join(' ')
}

function numbered(name: string, value: number | undefined): string[] {
  return value === undefined ? [] : [`${name}=${value}`]
}
