/** The disk of an epoch, cut while its guest wrote, is what a power failure would have left: no worse. */
import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fsck, isSound } from './fsck.ts'
import type { Epoch } from './records.ts'
import type { Stage } from './stage.ts'
import { bytesText } from './story.ts'

const blockBytes = 512

export async function checkDisk({ holdfast, story, directory }: Stage, { image, number }: Epoch): Promise<void> {
  const file = join(directory, `disk-${image}-${number}.raw`)
  await holdfast.run('export', `${image}@${number}:/disk.raw`, file)
  const { size, blocks } = statSync(file)
  story.seen(`a plain sparse file of ${bytesText(size)}, of which ${bytesText(blocks * blockBytes)} are data`)
  story.command(['e2fsck', '-fy', file])
  const report = fsck(file)
  for (const line of report.mended) story.seen(line)
  const seen = report.unexpected.join('; ') || `${report.mended.length} lines, exit code ${report.firstCode}`
  story.expect(isSound(report), 'it only replayed the journal, cleared orphans or corrected summary counts', seen)
  story.command(['e2fsck', '-fn', file])
  story.expect(report.secondCode === 0, 'and after that finds nothing', `exit code ${report.secondCode}`)
  story.proves('the disk was cut at one moment, with the guest writing: no block is older or newer than the others')
  rmSync(file)
}
