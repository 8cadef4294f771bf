/** What the figures were measured on. */
import { spawnSync } from 'node:child_process'
import { statfsSync } from 'node:fs'
import { arch, cpus, loadavg, release, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'

export interface Header {
  readonly date: string
  readonly machine: string
  readonly kernel: string
  readonly node: string
  readonly qemu: string
  readonly commit: string
  /** Over 1, 5 and 15 minutes, before the run: others' work on this machine is in the figures. */
  readonly loadAverage: string
  readonly files: string
}

export function makeHeader(): Header {
  const processors = cpus()
  const memoryGib = (totalmem() / 2 ** 30).toFixed(0)
  return {
    date: new Date().toISOString(),
    machine: `${processors.length} x ${processors[0]?.model ?? arch()}, ${memoryGib} GiB`,
    kernel: release(),
    node: process.version,
    qemu: /version (\S+)/.exec(said('qemu-system-x86_64', ['--version']))?.[1] ?? 'none',
    commit: said('git', ['-C', join(import.meta.dirname, '../..'), 'describe', '--always', '--dirty']) || 'unknown',
    loadAverage: loadavg().map((load) => load.toFixed(2)).join(' '),
    files: `type ${statfsSync(tmpdir()).type.toString(16)} under ${tmpdir()}`,
  }
}

export function headerText(header: Header): string {
  const names: Record<keyof Header, string> = {
    date: 'date', machine: 'machine', kernel: 'kernel', node: 'node', qemu: 'qemu', commit: 'commit',
    loadAverage: 'load average', files: 'file system',
  }
  return Object.entries(names).map(([key, name]) => `${name.padEnd(13)} ${header[key as keyof Header]}`).join('\n')
}

/** The first line of what a program says; empty when it cannot be run. */
function said(program: string, args: string[]): string {
  return (spawnSync(program, args, { encoding: 'utf8' }).stdout ?? '').split('\n')[0]
}
