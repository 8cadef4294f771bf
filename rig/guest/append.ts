/** The file system of the guest's disk (`build/build.sh` gives it this id). */
export const DISK_UUID = '4f0dfa57-0000-4000-8000-000000000001';

/** What the guest does; `files/workload.py` says what each option means. */
export interface AppendOptions {
  readonly workload?: 'sqlite' | 'memory' | 'idle' | 'none';
  readonly intervalMs?: number;
  readonly payloadBytes?: number;
  readonly journal?: 'wal' | 'delete' | 'truncate' | 'persist';
  readonly memoryMib?: number;
  /** false gives the serial line to a root shell for people. */
  readonly agent?: boolean;
  /** More words for the kernel. */
  readonly extra?: string;
}

/**
 * The kernel's command line. `panic=-1` restarts at once after a panic, so that with `-no-reboot` the hypervisor ends
 * and a test sees it; network devices keep the name eth0; entropy is taken from the processor, not waited for.
 */
export function append(options: AppendOptions = {}): string {
  const words = [
    'console=ttyS0', `root=UUID=${DISK_UUID}`, 'panic=-1', 'net.ifnames=0', 'random.trust_cpu=on',
    'systemd.show_status=0', 'loglevel=4', `workload=${options.workload ?? 'sqlite'}`,
  ];
  if (options.intervalMs !== undefined) words.push(`workload.interval_ms=${options.intervalMs}`);
  if (options.payloadBytes !== undefined) words.push(`workload.payload_bytes=${options.payloadBytes}`);
  if (options.journal !== undefined) words.push(`workload.journal=${options.journal}`);
  if (options.memoryMib !== undefined) words.push(`workload.memory_mib=${options.memoryMib}`);
  if (options.agent === false) words.push('agent=off');
  if (options.extra !== undefined) words.push(options.extra);
  return words.join(' ');
}
