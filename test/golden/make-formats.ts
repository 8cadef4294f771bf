/**
 * Writes `formats-v1.json`. Run once for a format version, `node test/golden/make-formats.ts FILE`; the file is
 * committed and never made again, but for formats that are new.
 */
import fs from 'node:fs'
import { goldenFormats } from './formats-v1.ts'

const bytes = Object.fromEntries(goldenFormats.map(({ name, encode }) => [name, encode().toString('hex')]))
fs.writeFileSync(process.argv[2], `${JSON.stringify(bytes, null, 2)}\n`)
