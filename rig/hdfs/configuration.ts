/**
 * The files that Hadoop reads. Times are short, so that a test sees within seconds what takes a real cluster minutes:
 * a silent DataNode is stale after 3 s and dead after 11 s.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Ports {
  readonly nameNodeHttp: number
  readonly nameNodeRpc: number
  /** One of each DataNode: for data, HTTP and RPC. */
  readonly dataNodes: readonly { readonly data: number; readonly http: number; readonly rpc: number }[]
}

export interface Configuration {
  readonly directory: string
  readonly replication: number
  readonly superuser: string
  readonly ports: Ports
}

export const HOST = '127.0.0.1'

/** Writes `conf/` with one directory for each daemon. */
export function writeConfiguration(configuration: Configuration): void {
  const conf = join(configuration.directory, 'conf')
  for (const name of ['hdfs', 'datanode', 'static']) mkdirSync(join(conf, 'webapps', name), { recursive: true })
  writeFileSync(join(conf, 'core-site.xml'), properties(coreSite(configuration)))
  writeFileSync(join(conf, 'log4j.properties'), log4j)
  writeSite(join(conf, 'namenode'), nameNodeSite(configuration))
  configuration.ports.dataNodes.forEach((_, index) => {
    writeSite(join(conf, `datanode${index}`), dataNodeSite(configuration, index))
  })
}

const log4j = `log4j.rootLogger=INFO,out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.target=System.err
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n
`

function writeSite(directory: string, site: Record<string, string | number>): void {
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'hdfs-site.xml'), properties(site))
}

function coreSite({ directory, ports }: Configuration): Record<string, string | number> {
  return {
    'fs.defaultFS': `hdfs://${HOST}:${ports.nameNodeRpc}`,
    'hadoop.tmp.dir': join(directory, 'tmp'),
    'hadoop.security.authentication': 'simple',
    // DataNodes find a NameNode that came back at once.
    'ipc.client.connect.retry.interval': 200,
    'ipc.client.connect.max.retries': 50,
  }
}

function nameNodeSite({ directory, replication, ports }: Configuration): Record<string, string | number> {
  return {
    'dfs.namenode.rpc-address': `${HOST}:${ports.nameNodeRpc}`,
    'dfs.namenode.http-address': `${HOST}:${ports.nameNodeHttp}`,
    'dfs.namenode.name.dir': `file://${directory}/name`,
    'dfs.replication': replication,
    'dfs.permissions.enabled': 'true',
    'dfs.namenode.fs-limits.min-block-size': 4096,
    'dfs.namenode.datanode.registration.ip-hostname-check': 'false',
    'dfs.namenode.safemode.extension': 0,
    'dfs.namenode.redundancy.considerLoad': 'false',
    'dfs.namenode.redundancy.interval.seconds': '1s',
    'dfs.namenode.reconstruction.pending.timeout-sec': 10,
    'dfs.heartbeat.interval': 1,
    'dfs.namenode.heartbeat.recheck-interval': 500,
    'dfs.namenode.stale.datanode.interval': 3000,
    'dfs.namenode.avoid.read.stale.datanode': 'true',
    'dfs.namenode.avoid.write.stale.datanode': 'true',
    'dfs.namenode.write.stale.datanode.ratio': '1.0',
    // What a DataNode does as a client of the others, on behalf of WebHDFS.
    'dfs.client.socket-timeout': 5000,
    'dfs.datanode.socket.write.timeout': 10_000,
    'dfs.client.block.write.replace-datanode-on-failure.best-effort': 'true',
    // Hadoop's 400 ms would be the time of many a close.
    'dfs.client.block.write.locateFollowingBlock.initial.delay.ms': 20,
    'dfs.namenode.lease-recheck-interval-ms': 500,
  }
}

function dataNodeSite(configuration: Configuration, index: number): Record<string, string | number> {
  const { data, http, rpc } = configuration.ports.dataNodes[index]
  return {
    ...nameNodeSite(configuration),
    'dfs.datanode.data.dir': `file://${configuration.directory}/data${index}`,
    // The host that redirects name.
    'dfs.datanode.hostname': HOST,
    'dfs.datanode.address': `${HOST}:${data}`,
    'dfs.datanode.http.address': `${HOST}:${http}`,
    'dfs.datanode.ipc.address': `${HOST}:${rpc}`,
  }
}

function properties(values: Record<string, string | number>): string {
  const lines = Object.entries(values).map(([name, value]) => {
    return `  <property><name>${name}</name><value>${value}</value></property>\n`
  })
  return `<configuration>\n${lines.join('')}</configuration>\n`
}
