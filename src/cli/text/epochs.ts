/** Images, epochs and the store as text. */
import type { DiffEntry, EpochDetail, EpochSummary, ImageSummary, StoreStats } from '../../image/types.ts'
import { printable } from './printable.ts'
import { facts, table } from './table.ts'
import { ageText, bytesText, countText, millisecondsText } from './units.ts'

export function imagesText(images: ImageSummary[], nowMs: number): string {
  const rows = images.map((each) => [
    each.image, String(each.epochs), `@${each.newest}`, originText(each),
    each.damaged === undefined ? ageText(each.createdMs, nowMs) : '?',
    each.fenced === undefined ? '' : `taken over by another writer after @${each.fenced.last}`,
  ])
  const names = images.map(({ image, damaged }) => ({ name: image, damaged }))
  return withDamage(names, table(['IMAGE', 'EPOCHS', 'NEWEST', 'ORIGIN', 'MADE', 'NOTICE'], rows, [1, 2], 'no images'))
}

export function logText(epochs: EpochSummary[], nowMs: number): string {
  const rows = epochs.map((each) => each.damaged !== undefined ? damagedRow(each) : [
    `${each.image}@${each.number}`, parentText(each), ageText(each.wallMs, nowMs), bytesText(each.writtenBytes),
    each.storedBytes === null ? '?' : bytesText(each.storedBytes), pauseText(each), flagsText(each), each.note,
  ])
  const names = epochs.map(({ image, number, damaged }) => ({ name: `${image}@${number}`, damaged }))
  const head = ['EPOCH', 'PARENT', 'SEALED', 'WRITTEN', 'STORED', 'PAUSE', 'IS', 'NOTE']
  return withDamage(names, table(head, rows, [3, 4, 5], 'no epochs'))
}

export function showText(epoch: EpochDetail, nowMs: number): string {
  return facts([
    ['epoch', `${epoch.image}@${epoch.number}`],
    ['id', epoch.id],
    ['parent', epoch.parent === null ? 'none' : `${epoch.parent.image}@${epoch.parent.number}  ${epoch.parent.id}`],
    ['sealed', `${new Date(epoch.wallMs).toISOString()}  ${ageText(epoch.wallMs, nowMs)}`],
    ['note', epoch.note === '' ? null : epoch.note],
    ['is', flagsText(epoch)],
    ['manifest', epoch.root],
    ['holds', `${countText(epoch.files, 'file')}, ${bytesText(epoch.logicalBytes)}`],
    ['written', bytesText(epoch.writtenBytes)],
    ['stored', epoch.storedBytes === null ? null : bytesText(epoch.storedBytes)],
    ['pause', epoch.pauseMs === null ? null : millisecondsText(epoch.pauseMs)],
    ['state', epoch.state === null ? null : bytesText(epoch.state.bytes)],
    ['record', bytesText(epoch.recordBytes)],
  ])
}

export function diffText(entries: DiffEntry[]): string {
  const marks = { added: '+', removed: '-', modified: 'M', metadata: 'm' }
  const rows = entries.map((each) => [
    marks[each.change], each.kind, `${bytesText(each.bytesBefore)} -> ${bytesText(each.bytesAfter)}`,
    String(each.changedChunks), each.path,
  ])
  return table(['', 'KIND', 'SIZE', 'CHUNKS', 'PATH'], rows, [2, 3], 'no difference')
}

export function statsText(stats: StoreStats): string {
  const ratio = stats.storedBytes === 0 ? null : `${(stats.plainBytes / stats.storedBytes).toFixed(2)} : 1`
  return facts([
    ['store', stats.store],
    ['directory', stats.directory],
    ['format', String(stats.formatVersion)],
    ['images', String(stats.images)],
    ['epochs', String(stats.epochs)],
    ['packs', `${stats.packs} with ${countText(stats.records, 'record')}`],
    ['plain', bytesText(stats.plainBytes)],
    ['stored', bytesText(stats.storedBytes)],
    ['of it', `${bytesText(stats.dataStoredBytes)} data, ${bytesText(stats.nodeStoredBytes)} manifest nodes`],
    ['ratio', ratio],
    ['free', bytesText(stats.freeBytes)],
  ])
}

/** `sealed web@4: 12 MiB written, 310 KiB stored`. */
export function epochLine(epoch: EpochSummary): string {
  const stored = epoch.storedBytes === null ? '' : `, ${bytesText(epoch.storedBytes)} stored`
  return `sealed ${epoch.image}@${epoch.number}: ${bytesText(epoch.writtenBytes)} written${stored}`
}

/** Nothing is known of it but its number and whether it is pinned. */
function damagedRow({ image, number, pinned }: EpochSummary): string[] {
  return [`${image}@${number}`, '?', '?', '?', '?', '', pinned ? 'damaged, pinned' : 'damaged', '']
}

/** A table, and below it what is wrong with each thing that is damaged. */
function withDamage(things: readonly { name: string; damaged?: string }[], text: string): string {
  const lines = things.filter(({ damaged }) => damaged !== undefined)
    .map(({ name, damaged }) => printable(`${name} is damaged: ${damaged}`))
  return lines.length === 0 ? text : [text, '', ...lines, "'holdfast check --repair' may put it right"].join('\n')
}

function originText({ origin, damaged }: ImageSummary): string {
  if (damaged !== undefined) return 'damaged'
  return origin.kind === 'fork' ? `fork of ${origin.epoch ?? 'an epoch'}` : origin.kind
}

/** `durable`, or how far it is replicated: `durable, on 1 of 2`. */
export function levelText(level: EpochSummary['level'], { have, of }: EpochSummary['replicas']): string {
  return of === 0 || have === of ? level : `${level}, on ${have} of ${of}`
}

/** Only a parent that is not simply the epoch before is worth a word. */
function parentText({ image, number, parent }: EpochSummary): string {
  if (parent === null) return ''
  if (parent.image !== image) return `${parent.image}@${parent.number}`
  return parent.number === number - 1 ? '' : `@${parent.number}`
}

function pauseText(epoch: EpochSummary): string {
  return epoch.pauseMs === null ? '' : millisecondsText(epoch.pauseMs)
}

function flagsText(epoch: EpochSummary): string {
  const level = levelText(epoch.level, epoch.replicas)
  return [level, epoch.machine ? 'machine' : null, epoch.pinned ? 'pinned' : null].filter(Boolean).join(', ')
}
