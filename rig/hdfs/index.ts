export { HdfsCluster } from './cluster.ts'
export type { ClusterOptions } from './cluster.ts'
export type { Daemon } from './daemon.ts'
export { missingForHdfs } from './jars.ts'
