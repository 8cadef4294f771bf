/** A process that puts an object slowly, and is killed in the middle: `node uploading-process.ts URL PATH BYTES`. */
import { Buffer } from 'node:buffer'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemEnv } from '../../src/env/system.ts'
import { openReplica } from '../../src/replica/open.ts'

const [url, path, bytes] = process.argv.slice(2)
const piece = Buffer.alloc(256 * 1024, 7)

async function* slowly(): AsyncIterable<Uint8Array> {
  for (let sent = 0; sent < Number(bytes); sent += piece.length) {
    yield piece
    if (sent === 8 * piece.length) process.stdout.write('under way\n')
    await sleep(10)
  }
}

await openReplica(systemEnv(), url).put(path, { bytes: Number(bytes), open: slowly })
