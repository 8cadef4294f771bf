/**
 * Writes the golden files of the encrypted forms. Run once for a format version, `node test/golden/make-sealed.ts
 * DIRECTORY`; the files are committed and never made again.
 */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'
import { addSlot, makeKeys, unlock } from '../../src/crypto/key-slots.ts'
import { encodeKeysFile } from '../../src/crypto/keys-file.ts'
import { PackSeal } from '../../src/crypto/pack-seal.ts'
import { sealObject } from '../../src/crypto/sealed-object.ts'
import { encodePackHeader, packHeaderBytes } from '../../src/format/pack-header.ts'
import { codecRaw, kindNode, recordBytesMax, writeRecord } from '../../src/format/pack-record.ts'
import { logRecordHeaderBytes, recordType } from '../../src/format/log.ts'
import { ImageLayout } from '../../src/image/layout.ts'
import { LogWriter } from '../../src/image/log-writer.ts'
import {
  countingEnv, goldenDomain, goldenImageId, goldenKeyFile, goldenObjectWord, goldenPackId, goldenPassphrase,
  goldenPayload, goldenPlain,
} from './sealed-v1.ts'

const directory = process.argv[2]
const env = countingEnv()
const made = makeKeys(env, goldenDomain, goldenKeyFile)
const { keys } = unlock(made, goldenKeyFile)
fs.writeFileSync(join(directory, 'keys-v1.json'), encodeKeysFile(addSlot(env, made, keys.root, goldenPassphrase).file))
fs.writeFileSync(join(directory, 'sealed-object-v1.bin'), sealObject(env, keys, goldenObjectWord, goldenPlain))

const seal = new PackSeal(env, keys, goldenPackId, 1)
const header = { keyId: 1, storeId: goldenDomain, domainId: goldenDomain, packId: goldenPackId, createdMs: 1, isCopied: false }
const content = {
  kind: kindNode, codec: codecRaw, depth: 0, baseDepth: 0, plainBytes: goldenPlain.length, paidBytes: 0,
  id: keys.chunkId(goldenPlain), baseId: undefined,
}
const record = Buffer.alloc(recordBytesMax)
const sealing = (bound: Buffer, plain: Uint8Array) => seal.seal(bound, plain, packHeaderBytes)
const recordBytes = writeRecord(record, 0, content, goldenPlain, sealing)
const pack = Buffer.concat([encodePackHeader(header), record.subarray(0, recordBytes)])
fs.writeFileSync(join(directory, 'sealed-pack-v1.bin'), pack)

const scratch = fs.mkdtempSync('/tmp/golden-')
const layout = new ImageLayout(scratch, 'image')
fs.mkdirSync(layout.log, { recursive: true })
const identity = { domainId: goldenDomain, imageId: goldenImageId, keys }
const log = new LogWriter(env, layout, identity, { segment: 7, sequence: 1000, connection: 3 })
const message = Buffer.concat([Buffer.alloc(logRecordHeaderBytes), goldenPayload])
const request = { type: recordType.write, unique: 2000n, inode: 9, chunk: 1, within: 4464, timeNs: 5n }
log.append('disk', request, message, logRecordHeaderBytes, goldenPayload.length)
log.close()
fs.copyFileSync(layout.segment(7, 'disk'), join(directory, 'sealed-log-v1.bin'))
fs.rmSync(scratch, { recursive: true })
