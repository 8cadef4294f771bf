import { readFileSync } from 'node:fs'

/** One line of /proc/self/mountinfo, see proc(5). */
export interface MountInfo {
  readonly mountPoint: string
  /** "MAJOR:MINOR", as under /sys/class/bdi. */
  readonly device: string
  readonly fileSystem: string
  readonly source: string
}

/** All mounts that this process sees, in the order in which they were made. */
export function readMounts(): MountInfo[] {
  return parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8'))
}

/** The topmost mount at a path, without touching the path: a mount that hangs would hang us. */
export function mountAt(mountPoint: string): MountInfo | undefined {
  return readMounts().findLast((mount) => mount.mountPoint === mountPoint)
}

/** Lines are `id parent device root mountpoint options [tags] - type source superoptions`. */
export function parseMountInfo(text: string): MountInfo[] {
  const mounts: MountInfo[] = []
  for (const line of text.split('\n')) {
    const [left, right] = line.split(' - ')
    if (right === undefined) continue
    const [, , device, , mountPoint] = left.split(' ')
    const [fileSystem, source] = right.split(' ')
    // A line that is cut short tells of no mount that we could name.
    if (mountPoint === undefined || source === undefined) continue
    mounts.push({ device, mountPoint: unescape(mountPoint), fileSystem, source: unescape(source) })
  }
  return mounts
}

/** The kernel writes space, tab, newline and backslash as octal numbers. The rest is UTF-8. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))
}
