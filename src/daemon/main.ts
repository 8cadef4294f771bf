/** Entry of the daemon's process: `main.ts STORE [READY-DESCRIPTOR]`; `launch.ts` starts it. */
import { openLocalHost } from './open-host.ts'
import { runDaemonProcess } from './process.ts'

const [store, readyFd] = process.argv.slice(2)
await runDaemonProcess({ store, readyFd: readyFd === undefined ? null : Number(readyFd), openHost: openLocalHost })
