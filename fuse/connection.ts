/** What the kernel lets one change about a mounted connection, through /sys. */
import { readFileSync, writeFileSync } from 'node:fs'
import { FuseError, systemCode } from './errors.ts'

const CONNECTIONS = '/sys/fs/fuse/connections'

/** How much of the machine's dirty memory one mount may hold. */
export interface DirtyLimits {
  /** Percent of the dirty threshold. */
  readonly maxRatio: number
  /** Hold the mount to its share even when nobody else wants theirs. */
  readonly isStrict: boolean
}

/**
 * Ends a connection by force: every request fails with ECONNABORTED, the session ends. `device` is
 * that of the mount. FUSE_CONTROL_MISSING where the kernel's control files are not mounted; an
 * unmount with `force` does the same without them.
 */
export function abortConnection(device: string, connections: string = CONNECTIONS): void {
  const connection = device.slice(device.indexOf(':') + 1)
  try {
    writeFileSync(`${connections}/${connection}/abort`, '1', { flag: 'r+' })
  } catch (cause) {
    throw new FuseError(
      'FUSE_CONTROL_MISSING',
      `connection ${connection} has no control file (${systemCode(cause)}): mount it with ` +
        `"mount -t fusectl fusectl ${CONNECTIONS}", or unmount by force`,
      { cause },
    )
  }
}

export function readDirtyLimits(device: string): DirtyLimits {
  const maxRatio = Number(readFileSync(dirtyLimitPath(device, 'max_ratio'), 'utf8'))
  return { maxRatio, isStrict: readFileSync(dirtyLimitPath(device, 'strict_limit'), 'utf8').trim() === '1' }
}

/**
 * A new FUSE mount gets 1 percent, strictly, and a guest whose memory is mapped from it is then
 * throttled at each page that it dirties. Returns undefined when the limits are set, else a
 * sentence for people saying what could not be done and what that means.
 */
export function setDirtyLimits(device: string, wanted: DirtyLimits): string | undefined {
  try {
    writeFileSync(dirtyLimitPath(device, 'strict_limit'), wanted.isStrict ? '1' : '0')
    writeFileSync(dirtyLimitPath(device, 'max_ratio'), String(wanted.maxRatio))
    return undefined
  } catch (error) {
    const where = dirtyLimitPath(device, 'max_ratio')
    return 'The dirty-page limits of the mount stay low, which slows writers of mapped files: ' +
      `${where} cannot be written (${systemCode(error) ?? String(error)}); make /sys writable.`
  }
}

function dirtyLimitPath(device: string, name: string): string {
  return `/sys/class/bdi/${device}/${name}`
}
