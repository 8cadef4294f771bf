/** What `keys-v1.json`, `sealed-pack-v1.bin`, `sealed-log-v1.bin` and `sealed-object-v1.bin` hold. */
import { Buffer } from 'node:buffer'
import type { Secret } from '../../src/crypto/secret.ts'
import { systemEnv } from '../../src/env/system.ts'
import type { Env } from '../../src/env/env.ts'

export const goldenKeyFile: Secret = { kind: 'keyFile', bytes: Buffer.alloc(32, 0x5e) }
export const goldenPassphrase: Secret = { kind: 'passphrase', passphrase: 'a golden passphrase' }
export const goldenDomain = Buffer.alloc(16, 0xd0)
export const goldenPackId = Buffer.alloc(16, 0x33)
export const goldenImageId = Buffer.alloc(16, 0x1a)
export const goldenPlain = Buffer.from('the bytes of a chunk; '.repeat(20))
export const goldenPayload = Buffer.from('the bytes written')
export const goldenObjectWord = 'epoch 7'

/** Random bytes that are the same each time: for golden files alone. */
export function countingEnv(): Env {
  let count = 0
  return {
    ...systemEnv(), wallMs: () => 1_700_000_000_123,
    randomBytes: (bytes) => Buffer.alloc(bytes, count += 1),
  }
}
