/** Entry of a serving process with a fake host. */
import { runServingProcess } from '../../src/daemon/supervisor/serving-process.ts'
import { openFakeHost } from './fake-host.ts'

await runServingProcess({ store: process.argv[2], openHost: openFakeHost })
