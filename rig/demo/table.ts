import type { Resumption } from './crash.ts'
import type { Epoch } from './records.ts'
import { bytesText } from './story.ts'

/** One epoch in the demo's result; null is what it does not have. */
export interface Row {
  readonly epoch: string
  readonly pauseMs: number | null
  readonly writtenBytes: number
  readonly storedBytes: number | null
  /** From the command's arrival in the daemon to the guest running. */
  readonly resumeMs: number | null
  /** From the start of the command's process to its end. */
  readonly resumeCommandMs: number | null
  readonly note: string
}

export function rowsOf(epochs: readonly Epoch[], resumptions: readonly Resumption[]): Row[] {
  return epochs.map(({ image, number, pauseMs, writtenBytes, storedBytes, note }) => {
    const resumed = resumptions.find(({ epoch }) => epoch.image === image && epoch.number === number)
    return {
      epoch: `${image}@${number}`, pauseMs, writtenBytes, storedBytes,
      resumeMs: resumed?.resumeMs ?? null, resumeCommandMs: resumed?.commandMs ?? null, note,
    }
  })
}

/** Text, columns aligned, numbers to the right. */
export function tableText(rows: readonly Row[]): string {
  const head = ['epoch', 'pause ms', 'bytes written', 'bytes stored', 'resume ms', 'with its command', 'note']
  const cells = rows.map((row) => [
    row.epoch, ms(row.pauseMs), bytesText(row.writtenBytes), row.storedBytes === null ? '' : bytesText(row.storedBytes),
    ms(row.resumeMs), ms(row.resumeCommandMs), row.note,
  ])
  const textColumns = [0, head.length - 1]
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column].length)))
  const padded = (cell: string, column: number): string =>
    textColumns.includes(column) ? cell.padEnd(widths[column]) : cell.padStart(widths[column])
  return [head, ...cells].map((row) => row.map(padded).join('  ').trimEnd()).join('\n')
}

function ms(value: number | null): string {
  return value === null ? '' : value.toFixed(value < 100 ? 1 : 0)
}
