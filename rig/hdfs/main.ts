/** Starts a cluster, prints its address and keeps it until Ctrl-C: `node rig/hdfs/main.ts [DATANODES]`. */
import { once } from 'node:events'
import { HdfsCluster } from './cluster.ts'

const cluster = await HdfsCluster.start({ dataNodes: Number(process.argv[2] ?? 1) })
process.stdout.write(`${cluster.address}\n`)
await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
await cluster.close()
