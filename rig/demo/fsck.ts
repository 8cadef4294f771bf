/**
 * What `e2fsck` may find on a disk that was cut while its guest ran: the same as after a power failure of a
 * sound disk. The journal is replayed, inodes that were deleted while open are freed, summary counts, which ext4
 * does not journal, are set right. Anything else means that blocks of different moments were put together.
 */
import { spawnSync } from 'node:child_process'

export interface FsckReport {
  /** Lines of the first run that are not allowed. */
  readonly unexpected: readonly string[]
  /** What the first run mended, in its own words. */
  readonly mended: readonly string[]
  readonly firstCode: number
  /** Exit code of the second run, which changes nothing and must find nothing. */
  readonly secondCode: number
}

/** Repairs the file system in `file`, then checks it again. Needs e2fsck. */
export function fsck(file: string): FsckReport {
  const first = e2fsck('-fy', file)
  const second = e2fsck('-fn', file)
  return { ...sorted(first.output), firstCode: first.code, secondCode: second.code }
}

/** True when no more was done than the rules allow. */
export function isSound({ unexpected, firstCode, secondCode }: FsckReport): boolean {
  // 1: errors were corrected, which is also said of a replayed journal.
  return unexpected.length === 0 && (firstCode === 0 || firstCode === 1) && secondCode === 0
}

/** Sorts the lines of an `e2fsck -fy` into what it mended and what it should not have found. */
export function sorted(output: string): Pick<FsckReport, 'unexpected' | 'mended'> {
  const lines = output.split('\n').map((line) => line.trim()).filter((line) => line !== '')
  const mended = lines.filter((line) => allowedRepairs.some((pattern) => pattern.test(line)))
  const unexpected = lines.filter((line) => !mended.includes(line) && !chatter.some((pattern) => pattern.test(line)))
  return { mended, unexpected }
}

const allowedRepairs = [
  /: recovering journal$/,
  /^Clearing orphaned inode \d+ /,
  /^(Setting )?free (blocks|inodes) count (wrong|to \d+)/i,
  /^Directories count wrong for group #\d+ /,
]

const chatter = [
  /^e2fsck \d/,
  /^Pass [1-5]: Checking /,
  // The answer of -y stands on a line of its own after some questions.
  /^Fix\? yes$/,
  /: \*{5} FILE SYSTEM WAS MODIFIED \*{5}$/,
  /: \d+\/\d+ files \([\d.]+% non-contiguous\), \d+\/\d+ blocks$/,
]

function e2fsck(option: string, file: string): { code: number; output: string } {
  const { status, stdout, stderr, error } = spawnSync('e2fsck', [option, file], {
    encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' }, stdio: ['ignore', 'pipe', 'pipe'],
  })
  if (error !== undefined) throw error
  return { code: status ?? -1, output: stderr + stdout }
}
