/**
 * Writes `epoch-v1.bin`. Run once for a format version, `node test/golden/make-epoch.ts FILE`; the file is
 * committed and never made again.
 */
import fs from 'node:fs'
import { encodeEpoch } from '../../src/format/epoch.ts'
import { goldenEpoch } from './epoch-v1.ts'

fs.writeFileSync(process.argv[2], encodeEpoch(goldenEpoch))
