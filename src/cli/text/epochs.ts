/** Images, epochs and the store as text. */
import type { CheckReport, DiffEntry, EpochDetail, EpochSummary, ImageSummary, StoreStats } from '../../image/types.ts'
import { facts, table } from './table.ts'
import { ageText, bytesText, countText, millisecondsText } from './units.ts'

export function imagesText(images: ImageSummary[], nowMs: number): string {
  const rows = images.map((each) => [
    each.image, String(each.epochs), `@${each.newest}`, originText(each.origin), ageText(each.createdMs, nowMs),
  ])
  return table(['IMAGE', 'EPOCHS', 'NEWEST', 'ORIGIN', 'MADE'], rows, [1, 2], 'no images')
}

export function logText(epochs: EpochSummary[], nowMs: number): string {
  const rows = epochs.map((each) => [
    `${each.image}@${each.number}`, parentText(each), ageText(each.wallMs, nowMs), bytesText(each.writtenBytes),
    each.storedBytes === null ? '?' : bytesText(each.storedBytes), pauseText(each), flagsText(each), each.note,
  ])
  return table(['EPOCH', 'PARENT', 'SEALED', 'WRITTEN', 'STORED', 'PAUSE', 'IS', 'NOTE'], rows, [3, 4, 5], 'no epochs')
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

export function checkText(report: CheckReport): string {
  const counts = [
    countText(report.packs, 'pack'), countText(report.records, 'record'), countText(report.epochs, 'epoch'),
  ]
  const looked = `looked at ${counts.join(', ')}`
  if (report.damaged.length === 0) return `${looked}: no damage`
  const lines = report.damaged.map((each) => {
    const hit = [...each.epochs, ...each.files].join(', ')
    return `  ${each.what} ${each.where}: ${each.message}${hit === '' ? '' : ` (in ${hit})`}`
  })
  return `${looked}: ${countText(report.damaged.length, 'fault')}\n${lines.join('\n')}`
}

/** `sealed web@4: 12 MiB written, 310 KiB stored`. */
export function epochLine(epoch: EpochSummary): string {
  const stored = epoch.storedBytes === null ? '' : `, ${bytesText(epoch.storedBytes)} stored`
  return `sealed ${epoch.image}@${epoch.number}: ${bytesText(epoch.writtenBytes)} written${stored}`
}

function originText(origin: ImageSummary['origin']): string {
  return origin.kind === 'fork' ? `fork of ${origin.epoch ?? 'an epoch'}` : origin.kind
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
  return [epoch.level, epoch.machine ? 'machine' : null, epoch.pinned ? 'pinned' : null].filter(Boolean).join(', ')
}
