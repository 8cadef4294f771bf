/** A result as text: aligned columns, targets with their verdict, what was lost. */
import { isMet } from './bench.ts'
import type { Bench, BenchResult, Cell, Table, Target } from './bench.ts'

export function resultText(bench: Bench, result: BenchResult): string {
  return [
    `== ${bench.name}: ${bench.question}`,
    ...result.tables.map(tableText),
    ...listText('Targets', result.targets.map(targetText)),
    ...listText('Lost against the baseline', result.lost),
    ...listText('Notes', result.notes),
  ].join('\n\n')
}

function tableText(table: Table): string {
  const rows = [table.columns.map(String), ...table.rows.map((row) => row.map(cellText))]
  const widths = table.columns.map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  const lines = rows.map((row) => row.map((text, column) => padded(text, widths[column], column)).join('  ').trimEnd())
  const rule = widths.map((width) => '-'.repeat(width)).join('  ')
  return [table.title, lines[0], rule, ...lines.slice(1)].join('\n')
}

/** The first column is what a row is about, the others are figures. */
function padded(text: string, width: number, column: number): string {
  return column === 0 ? text.padEnd(width) : text.padStart(width)
}

/** Three digits where there is a fraction, all of them where there is none. */
function cellText(cell: Cell): string {
  if (cell === null || (typeof cell === 'number' && Number.isNaN(cell))) return '-'
  if (typeof cell === 'string') return cell
  if (Number.isInteger(cell) || Math.abs(cell) >= 1000) return Math.round(cell).toLocaleString('en')
  return cell.toFixed(Math.abs(cell) >= 100 ? 0 : Math.abs(cell) >= 10 ? 1 : 2)
}

function targetText(target: Target): string {
  const { what, figure, limit, kind, unit } = target
  const verdict = isMet(target) ? 'met' : 'MISSED'
  return `${verdict}: ${what}: ${[cellText(figure), unit].join(' ').trim()} (${kind} ${cellText(limit)})`
}

function listText(title: string, items: readonly string[]): string[] {
  return items.length === 0 ? [] : [`${title}\n${items.map((item) => `  ${item}`).join('\n')}`]
}
