/** Key slots as text. */
import type { KeyReport } from '../../image/types.ts'
import { table } from './table.ts'
import { ageText } from './units.ts'

export function keysText({ slots, keyId }: KeyReport, nowMs: number): string {
  const rows = slots.map(({ slot, kind, createdMs }) => [String(slot), kind, ageText(createdMs, nowMs)])
  return `${table(['SLOT', 'OPENS WITH', 'MADE'], rows, [0], 'no slots')}\ndata key ${keyId}`
}
