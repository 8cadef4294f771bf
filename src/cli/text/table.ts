/** Plain text tables: columns are as wide as their widest cell, two blanks apart. */
import { printable } from './printable.ts'

/** Rows with aligned columns; `right` names the columns (by index) that hold numbers. */
export function columns(texts: readonly (readonly string[])[], right: readonly number[] = []): string {
  const rows = texts.map((cells) => cells.map(printable))
  const widths: number[] = []
  for (const row of rows) {
    row.forEach((cell, index) => (widths[index] = Math.max(widths[index] ?? 0, widthOf(cell))))
  }
  const line = (row: readonly string[]): string =>
    row.map((cell, index) => pad(cell, widths[index], right.includes(index))).join('  ').trimEnd()
  return rows.map(line).join('\n')
}

/** A table with a head; `none` when there are no rows. */
export function table(
  head: readonly string[], rows: readonly (readonly string[])[], right: readonly number[], none: string,
): string {
  return rows.length === 0 ? none : columns([head, ...rows], right)
}

/** Names and values, one a line; null values are left out. */
export function facts(pairs: readonly (readonly [string, string | null])[]): string {
  return columns(pairs.filter(([, value]) => value !== null).map(([name, value]) => [name, value ?? '']))
}

function pad(cell: string, width: number, right: boolean): string {
  const blanks = ' '.repeat(width - widthOf(cell))
  return right ? blanks + cell : cell + blanks
}

/** Code points: names of images may be any text. */
function widthOf(cell: string): number {
  return [...cell].length
}
