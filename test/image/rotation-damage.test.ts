/** New keys for an encrypted store of which a bit was flipped: what a repair could have mended before, it can after. */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemEnv } from '../../src/env/system.ts'
import { packHeaderBytes } from '../../src/format/pack-header.ts'
import { openLocalEngine } from '../../src/image/local-engine.ts'
import { chunkBytes } from '../../src/limits.ts'
import { initStore } from '../../src/store/identity.ts'
import { testKeys, testKeysFile, testSecret } from '../crypto/keys.ts'
import { Random } from '../random.ts'
import { packPaths } from '../store/support.ts'

async function rotatedAfter(t: ExecutionContext, flipAt: number): Promise<void> {
  const random = Random.announced(t)
  const parent = fs.mkdtempSync(join(tmpdir(), 'holdfast-rotation-'))
  t.teardown(() => fs.rmSync(parent, { recursive: true, force: true }))
  const store = join(parent, 'store')
  initStore(systemEnv(), store, { domain: { domainId: testKeys.domainId, keys: testKeysFile } })
  const base = join(parent, 'base')
  fs.writeFileSync(base, random.bytes(4 * chunkBytes))
  {
    await using engine = await openLocalEngine(store, { secret: testSecret })
    await engine.createImage({ image: 'vm', base: [base] })
  }
  flip(packPaths(store)[0], flipAt)
  await using engine = await openLocalEngine(store, { secret: testSecret })
  await engine.rotateKeys().catch(() => undefined)
  await engine.check({ readData: true, repair: true })
  await engine.rotateKeys()
  t.deepEqual((await engine.check({ readData: true })).damaged, [])
  const file = join(parent, 'exported')
  await engine.exportFile({ epoch: 'vm@0', path: '/base', file, format: 'raw' })
  t.true(fs.readFileSync(file).equals(fs.readFileSync(base)))
}

function flip(path: string, at: number): void {
  const bytes = fs.readFileSync(path)
  bytes[at] ^= 4
  fs.writeFileSync(path, bytes)
}

test('of a pack whose header is spoilt', (t) => rotatedAfter(t, 30))

test('of a pack with a record that is spoilt', (t) => rotatedAfter(t, packHeaderBytes + 1000))
