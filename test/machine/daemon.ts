/** A process that starts a small machine on the store given, takes a checkpoint, says so, and waits to be killed. */
import { join } from 'node:path'
import { openLocalEngine } from '../../src/image/local-engine.ts'
import { Machines } from '../../src/machine/machines.ts'
import type { StartRequest } from '../../src/machine/types.ts'
import { ImageMount } from '../../src/mount/image-mount.ts'
import { testDriver } from './rig.ts'

const [store, request] = process.argv.slice(2)
const engine = await openLocalEngine(store)
const machines = new Machines({
  engine, directory: join(store, 'machines'), driver: testDriver(),
  mounting: {
    mount: (image, directory, readBytesMax) => ImageMount.ahead({ image, directory, readBytesMax }),
    serve: (image, mounted) => ImageMount.open({ engine, image, directory: mounted.directory, mounted }),
  },
})
const started = JSON.parse(request) as StartRequest
const { pid, mount } = await machines.start(started)
await machines.checkpoint({ image: started.image })
process.stdout.write(`${JSON.stringify({ pid, mount })}\n`)
// Machines do not keep a process alive, and this one is to be found alive.
setInterval(() => undefined, 60_000)
