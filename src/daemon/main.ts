/** Entry of the daemon's process, a supervisor: `main.ts STORE [READY-DESCRIPTOR]`; `launch.ts` starts it. */
import { entryUrl } from '../env/entry.ts'
import { keepHeapsSmall } from '../env/small-heaps.ts'
import { runDaemonProcess } from './process.ts'

keepHeapsSmall()
const [store, readyFd] = process.argv.slice(2)
const entry = entryUrl('./serving-main.ts', import.meta.url)
await runDaemonProcess({ store, readyFd: readyFd === undefined ? null : Number(readyFd), entry })
