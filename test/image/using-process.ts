/** A process that opens a store with a spoilt index and reads all of it: LevelDB may end it. */
import process from 'node:process'
import { openLocalEngine } from './variant.ts'

const engine = await openLocalEngine(process.argv[2])
await engine.check({ readData: true }).catch(() => undefined)
await engine.close()
