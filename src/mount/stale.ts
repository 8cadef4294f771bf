/**
 * Mounts that a killed daemon left behind: the kernel still shows them, every access fails with ENOTCONN.
 * They hold no data (what was synced lies in the image's log), so they are only taken away.
 */
import { sep } from 'node:path'
import { FILE_SYSTEM_TYPE, mountAt, readMounts, unmount } from '../../fuse/index.ts'
import { askFileSystem } from '../env/async-file.ts'
import { isCode } from '../errors.ts'

/** Detaches the mount on `directory` if it is ours and nobody serves it; true when there was one. */
export async function cleanStaleMount(directory: string): Promise<boolean> {
  const info = mountAt(directory)
  if (info?.fileSystem !== FILE_SYSTEM_TYPE || !await isUnserved(directory)) return false
  await unmount(directory, { lazy: true })
  return true
}

/** The same for every mount below a directory, or everywhere; the paths that were cleaned. */
export async function cleanStaleMountsBelow(directory = ''): Promise<string[]> {
  const cleaned: string[] = []
  for (const { mountPoint } of readMounts().reverse()) {
    if (mountPoint.startsWith(directory + sep) && await cleanStaleMount(mountPoint)) cleaned.push(mountPoint)
  }
  return cleaned
}

/** Opening the directory would not tell: the kernel does so without a request. */
async function isUnserved(directory: string): Promise<boolean> {
  try {
    await askFileSystem(directory)
    return false
  } catch (error) {
    // The second: the last process that held the connection let go of it while we asked.
    return error instanceof Error && isCode(error.cause, 'ENOTCONN', 'ECONNABORTED')
  }
}
