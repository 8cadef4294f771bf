/** Entry of a daemon's process whose serving process has a fake host. */
import { runDaemonProcess } from '../../src/daemon/process.ts'

const [store, readyFd] = process.argv.slice(2)
await runDaemonProcess({ store, readyFd: Number(readyFd), entry: new URL('./fake-serving.ts', import.meta.url) })
