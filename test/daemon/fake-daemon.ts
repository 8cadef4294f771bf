/** Entry of a daemon's process that serves a fake host. */
import { runDaemonProcess } from '../../src/daemon/process.ts'
import { openFakeHost } from './fake-host.ts'

const [store, readyFd] = process.argv.slice(2)
await runDaemonProcess({ store, readyFd: Number(readyFd), openHost: openFakeHost })
