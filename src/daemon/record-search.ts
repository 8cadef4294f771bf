/** What the replicas of a store have of its epochs that it cannot read, or does not have at all. */
import { systemEnv } from '../env/system.ts'
import type { HeldRecords } from '../image/check/record-copy.ts'
import type { Engine } from '../image/engine.ts'
import { openedKeys } from '../image/remote/join.ts'
import { findRecordCopies } from '../image/remote/record-copies.ts'
import type { AbsentEpochs, FoundCopies } from '../image/remote/record-copies.ts'
import type { CallOptions, CheckFault } from '../image/types.ts'
import { openReplica } from '../replica/open.ts'
import { unsealedReplica } from '../replica/sealed-replica.ts'
import { readIdentity } from '../store/identity.ts'
import { StoreLayout } from '../store/layout.ts'
import type { RecordFinds } from './host.ts'

/** A sentence that is longer is not read. */
const rangesShownMax = 8

/** A replica that fails is told of in the notes. Errors: ABORTED, USAGE (no URL), those of the engine. */
export async function searchRecords(
  engine: Engine, urls: readonly string[], { signal, progress }: CallOptions,
): Promise<RecordFinds> {
  const env = systemEnv()
  const held = await engine.heldRecords({ signal })
  const { storeId, domainId } = readIdentity(env, new StoreLayout(engine.directory))
  const keys = await openedKeys(env, engine)
  const found: FoundCopies[] = []
  for (const [index, url] of urls.entries()) {
    progress?.({ step: `asking ${url} for records`, done: index, total: urls.length, unit: 'steps' })
    await using replica = unsealedReplica(env, openReplica(env, url), keys)
    found.push(await findRecordCopies({ replica, storeId, domainId, signal }, held))
  }
  const absent = await stillAbsent(engine, found.flatMap((each) => each.absent), signal)
  const unfinished = new Set((await engine.unfinished()).map(({ image }) => image))
  return {
    copies: found.flatMap(({ copies }) => copies),
    faults: absent.flatMap(({ epochs, held: { nextNumber } }) => faultOf(epochs, nextNumber)),
    notes: [
      ...found.flatMap(({ notes }) => notes),
      ...absent.filter(({ epochs }) => !unfinished.has(epochs.image))
        .flatMap(({ epochs, held: { nextNumber } }) => noteOf(epochs, nextNumber)),
    ],
  }
}

/** Without those that were sealed, and published, since the store was looked at. */
async function stillAbsent(
  engine: Engine, absent: readonly AbsentEpochs[], signal: AbortSignal | undefined,
): Promise<{ epochs: AbsentEpochs; held: HeldRecords }[]> {
  const now = absent.length === 0 ? [] : await engine.heldRecords({ signal })
  return absent.flatMap((epochs) => {
    const held = now.find(({ image }) => image === epochs.image)
    if (held === undefined) return []
    const known = new Set([...held.numbers, ...held.lost])
    return [{ epochs: { ...epochs, numbers: epochs.numbers.filter((number) => !known.has(number)) }, held }]
  })
}

/** An image knows of every epoch that it ever had, also of those that were removed since. */
function faultOf({ image, from, numbers }: AbsentEpochs, nextNumber: number): CheckFault[] {
  const lost = numbers.filter((number) => number >= nextNumber)
  if (lost.length === 0) return []
  const message = `${from} has ${rangesOf(image, lost)} of this store, and nothing here knows of it: it was lost, or ` +
    `this is an older copy of the store; ${remedyFor(from, image, lost[0])}`
  const epochs = lost.map((number) => `${image}@${number}`)
  return [{ what: 'epoch', where: `${image}@${lost[0]}`, message, epochs, files: [] }]
}

function noteOf({ image, from, numbers }: AbsentEpochs, nextNumber: number): string[] {
  const older = numbers.filter((number) => number < nextNumber)
  if (older.length === 0) return []
  return [`${from} still lists ${rangesOf(image, older)}, which this store does not have: removed here, left there ` +
    `by a restore, or lost; ${remedyFor(from, image, older[0])}`]
}

function remedyFor(from: string, image: string, number: number): string {
  return `'holdfast restore ${from} ${image}@${number} --as NEW' brings it back`
}

/** `web@3, web@5 to web@9 and 7 more`; rising. */
function rangesOf(image: string, numbers: readonly number[]): string {
  const ranges: [number, number][] = []
  for (const number of numbers) {
    const last = ranges.at(-1)
    if (last !== undefined && last[1] === number - 1) last[1] = number
    else ranges.push([number, number])
  }
  const shown = ranges.slice(0, rangesShownMax).map(([first, last]) => {
    return first === last ? `${image}@${first}` : `${image}@${first} to ${image}@${last}`
  })
  const left = ranges.slice(rangesShownMax).reduce((sum, [first, last]) => sum + last - first + 1, 0)
  return left === 0 ? shown.join(', ') : `${shown.join(', ')} and ${left} more`
}
