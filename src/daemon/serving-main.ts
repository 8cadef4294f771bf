/** Entry of the process that serves: `serving-main.ts STORE`; the supervisor starts it. */
import { keepHeapsSmall } from '../env/small-heaps.ts'
import { followMounts, openLocalHost, practiseLocalHost, prepareLocalHost } from './open-host.ts'
import { runServingProcess } from './supervisor/serving-process.ts'

keepHeapsSmall()
await runServingProcess({
  store: process.argv[2], openHost: openLocalHost, prepare: prepareLocalHost, practise: practiseLocalHost,
  follow: followMounts,
})
