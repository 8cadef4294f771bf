/** A process that publishes until it is fenced and prints what was confirmed: `node publishing-process.ts URL DIRECTORY`. */
import { Buffer } from 'node:buffer'
import { systemEnv } from '../../src/env/system.ts'
import { isCode } from '../../src/errors.ts'
import { openReplica } from '../../src/replica/open.ts'

const [url, directory] = process.argv.slice(2)
await using replica = openReplica(systemEnv(), url)
try {
  for (let each = 0; ; each++) {
    const name = `${process.pid}-${each}`
    await replica.publish(directory, name, Buffer.from(name))
    process.stdout.write(`${name}\n`)
  }
} catch (error) {
  if (!isCode(error, 'FENCED')) throw error
}
