import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { FuseError } from './errors.ts'

/** As the packages fuse and fuse3 name it. */
const PROGRAMS = ['fusermount', 'fusermount3']
/** Where set-uid programs are, also when a daemon was started with a short PATH. */
const DIRECTORIES = ['/usr/local/bin', '/usr/bin', '/bin']

/** The set-uid program that mounts for users without root. FUSE_FUSERMOUNT_MISSING. */
export function findFusermount(
  path: string = process.env['PATH'] ?? '',
  usual: readonly string[] = DIRECTORIES,
): string {
  const directories = [...path.split(delimiter).filter((each) => each !== ''), ...usual]
  for (const directory of directories) {
    for (const program of PROGRAMS) if (isExecutable(join(directory, program))) return join(directory, program)
  }
  throw new FuseError(
    'FUSE_FUSERMOUNT_MISSING',
    'mounting without root needs the program fusermount: install the package fuse (or fuse3)',
  )
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false // Absent or not ours to run: the same to us.
  }
}
