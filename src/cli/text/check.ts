/** What a check found, and what a repair did, as text. */
import type { AffectedFile, CheckFault, CheckReport } from '../../image/types.ts'
import { printable } from './printable.ts'
import { bytesText, countText } from './units.ts'

const rangesShownMax = 4

export function checkText(report: CheckReport): string {
  const { damaged, healed, repairs, notes, unread } = report
  const counts = [
    countText(report.packs, 'pack'), countText(report.records, 'record'), countText(report.epochs, 'epoch'),
  ]
  const left = damaged.length === 0 ? 'no damage' : countText(damaged.length, 'fault')
  const again = healed.length === 0 ? '' : `, ${countText(healed.length, 'fault')} healed`
  return [
    `looked at ${counts.join(', ')}: ${left}${again}`,
    ...damaged.flatMap(faultLines),
    ...healed.map((fault) => `  healed: ${headline(fault)}`),
    ...repairs.map((sentence) => `  repair: ${printable(sentence)}`),
    ...notes.map((sentence) => `  note: ${printable(sentence)}`),
    ...unreadLines(unread),
  ].join('\n')
}

function unreadLines({ packs, bytes }: CheckReport['unread']): string[] {
  if (packs === 0) return []
  return [`  not looked at for want of time: ${bytesText(bytes)} in ${countText(packs, 'pack')}`]
}

function faultLines(fault: CheckFault): string[] {
  const epochs = fault.epochs.length === 0 ? [] : [`    costs ${printable(fault.epochs.join(', '))}`]
  return [`  ${headline(fault)}`, ...epochs, ...fault.files.map((file) => `    ${fileText(file)}`)]
}

function headline({ what, where, message }: CheckFault): string {
  return printable(`${what} ${where}: ${message}`)
}

/** `/disk.raw: bytes 65536 to 131071`. */
function fileText({ path, ranges }: AffectedFile): string {
  const shown = ranges.slice(0, rangesShownMax).map(({ offset, bytes }) => `${offset} to ${offset + bytes - 1}`)
  const more = ranges.length > rangesShownMax ? ` and ${ranges.length - rangesShownMax} more ranges` : ''
  return `${printable(path)}${shown.length === 0 ? '' : `: bytes ${shown.join(', ')}${more}`}`
}
