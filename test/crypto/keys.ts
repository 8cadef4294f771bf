/** Keys for tests: made once a process, with a key file, so that nothing is stretched; the secret is the same in all. */
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { makeKeys, unlock } from '../../src/crypto/key-slots.ts'
import type { Secret } from '../../src/crypto/secret.ts'
import { systemEnv } from '../../src/env/system.ts'

export const testSecret: Secret = { kind: 'keyFile', bytes: Buffer.alloc(32, 0x5e) }
export const testKeysFile = makeKeys(systemEnv(), randomBytes(16), testSecret)
export const testKeys = unlock(testKeysFile, testSecret).keys
