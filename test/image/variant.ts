/** As test/store/variant.ts: the tests of images on plain and on encrypted stores. */
import type { Engine } from '../../src/image/engine.ts'
import * as local from '../../src/image/local-engine.ts'
import { secret } from '../store/variant.ts'

export { initStore, isEncrypted, openChunkReader, openChunkStore } from '../store/variant.ts'

export function openLocalEngine(directory: string, options: local.EngineOptions = {}): Promise<Engine> {
  return local.openLocalEngine(directory, { secret, ...options })
}
