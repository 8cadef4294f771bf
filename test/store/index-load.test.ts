/** An index that is filled in the order of ids says what one says that was filled pack by pack. */
import test from 'ava'
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemEnv } from '../../src/env/system.ts'
import type { RecordLocation } from '../../src/format/keys.ts'
import { FooterTable, type RecordPlace } from '../../src/format/pack-footer.ts'
import { packHeaderBytes } from '../../src/format/pack-header.ts'
import { emptyTotals } from '../../src/format/pack-totals.ts'
import { loadIndex } from '../../src/store/index-load.ts'
import { type PackName, StoreLayout } from '../../src/store/layout.ts'
import { PackIndex } from '../../src/store/pack-index.ts'
import { Random } from '../random.ts'

const bodyBytes = 100_000

class Packs {
  readonly layout: StoreLayout
  readonly names: PackName[] = []
  /** Where the newest pack's last record of an id and depth lies. */
  readonly newest = new Map<string, RecordLocation>()
  readonly #random: Random

  constructor(directory: string, random: Random) {
    this.layout = new StoreLayout(directory)
    this.#random = random
    for (const path of [this.layout.packs, this.layout.index]) fs.mkdirSync(path)
  }

  /** Nobody looks at what lies before the footer. */
  add(ids: readonly Buffer[]): void {
    const name = { number: this.names.length + 1, packId: this.#random.bytes(16) }
    const table = new FooterTable()
    for (const id of ids) {
      const place = this.#place()
      table.add(id, place)
      this.newest.set(`${id.toString('hex')} ${place.depth}`, { packNumber: name.number, ...place })
    }
    const body = Buffer.alloc(packHeaderBytes + bodyBytes)
    fs.writeFileSync(this.layout.pack(name), Buffer.concat([body, table.encode(emptyTotals())]))
    this.names.push(name)
  }

  #place(): RecordPlace {
    const offset = packHeaderBytes + this.#random.below(bodyBytes - 200)
    return { offset, recordBytes: 100 + this.#random.below(100), kind: 1, codec: 0, depth: this.#random.below(3) }
  }
}

for (const recordsMax of [1, 7, 100, 5000]) {
  test(`with ${recordsMax} records at once`, async (t) => {
    const random = Random.announced(t)
    const directory = fs.mkdtempSync(join(tmpdir(), 'holdfast-load-'))
    t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }))
    const packs = new Packs(directory, random)
    // Some of an id many times, some whose ids begin alike, as nobody promises that they are spread.
    const alike = Buffer.alloc(28, 0xfe)
    const ids = Array.from({ length: 300 }, (_, at) => at % 3 === 0 ? Buffer.concat([alike, random.bytes(4)]) : random.bytes(32))
    for (let pack = 0; pack < 5; pack++) packs.add(Array.from({ length: 200 }, () => ids[random.below(ids.length)]))
    const torn = { number: 9, packId: random.bytes(16) }
    fs.writeFileSync(packs.layout.pack(torn), random.bytes(1000))

    await using index = await PackIndex.open(packs.layout.index, () => t.fail('nothing is damaged'))
    const told: number[] = []
    const loaded = await loadIndex({
      env: systemEnv(), layout: packs.layout, index, packs: [...packs.names, torn], recordsMax,
      call: { progress: ({ done, total }) => told.push(done / total) },
    })
    t.deepEqual([...loaded], [1, 2, 3, 4, 5], 'one without a footer is left to whoever scans it')
    const found = new Map<string, RecordLocation>()
    for await (const { id, location } of index.records()) found.set(`${id.toString('hex')} ${location.depth}`, location)
    t.deepEqual(found, new Map([...packs.newest].sort(([a], [b]) => a < b ? -1 : 1)))
    t.is(told.at(-1), 1)
  })
}

test('nothing to load', async (t) => {
  const directory = fs.mkdtempSync(join(tmpdir(), 'holdfast-load-'))
  t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }))
  const { layout } = new Packs(directory, new Random(1))
  await using index = await PackIndex.open(layout.index, () => t.fail('nothing is damaged'))
  t.is((await loadIndex({ env: systemEnv(), layout, index, packs: [], call: {} })).size, 0)
})
