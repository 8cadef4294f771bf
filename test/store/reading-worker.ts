/** Answers each id with the chunk's bytes, or the code of the error. */
import { Buffer } from 'node:buffer'
import { parentPort, workerData } from 'node:worker_threads'
import { systemEnv } from '../../src/env/system.ts'
import { codeOf } from '../../src/errors.ts'
import { openChunkReader } from './variant.ts'

const reader = await openChunkReader(systemEnv(), String(workerData))
parentPort?.on('message', (message: Uint8Array | string) => {
  if (typeof message === 'string') return void reader.close().then(() => parentPort?.close())
  parentPort?.postMessage(answer(Buffer.from(message)))
})
parentPort?.postMessage('ready')

function answer(id: Buffer): Buffer | string | undefined {
  try {
    return reader.read(id)
  } catch (error) {
    return codeOf(error)
  }
}
