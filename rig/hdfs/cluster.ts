/** A real HDFS on the loopback: one NameNode and some DataNodes, each a process that can be killed and paused. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { RigError } from '../errors.ts'
import { HOST, writeConfiguration } from './configuration.ts'
import type { Ports } from './configuration.ts'
import { Daemon } from './daemon.ts'
import { hadoopJars } from './jars.ts'
import { freePorts } from './ports.ts'

/** Seconds on a quiet host: one where much else runs takes its time. */
const readyTimeoutMs = 240_000
const pollMs = 100
const portsPerDataNode = 3
const logTailLines = 15

export interface ClusterOptions {
  readonly dataNodes?: number
  readonly replication?: number
}

export class HdfsCluster implements AsyncDisposable {
  readonly directory: string
  /** The user that the daemons run as: it may do everything. */
  readonly superuser = 'hdfs'
  readonly ports: Ports
  readonly nameNode: Daemon
  readonly dataNodes: readonly Daemon[]

  private constructor(directory: string, ports: Ports, jars: string) {
    this.directory = directory
    this.ports = ports
    this.nameNode = this.#daemon('namenode', 'org.apache.hadoop.hdfs.server.namenode.NameNode', jars)
    this.dataNodes = ports.dataNodes.map((_, index) => {
      return this.#daemon(`datanode${index}`, 'org.apache.hadoop.hdfs.server.datanode.DataNode', jars)
    })
  }

  /** A new one that is ready to be written (4 to 10 s). @throws RigError BUILD_FAILED, CLUSTER_FAILED, TIMEOUT. */
  static async start(options: ClusterOptions = {}): Promise<HdfsCluster> {
    const { dataNodes = 3, replication = Math.min(dataNodes, 2) } = options
    const jars = await hadoopJars()
    const ports = await choosePorts(dataNodes)
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-hdfs-'))
    const cluster = new HdfsCluster(directory, ports, jars)
    try {
      for (const name of ['name', 'logs', 'tmp']) mkdirSync(join(directory, name))
      writeConfiguration({ directory, replication, superuser: cluster.superuser, ports })
      await cluster.nameNode.run('-format', '-nonInteractive')
      cluster.nameNode.start()
      for (const each of cluster.dataNodes) each.start()
      await cluster.waitReady()
      return cluster
    } catch (error) {
      await cluster.close()
      throw error
    }
  }

  /** The NameNode's HTTP address: HOST:PORT. */
  get address(): string {
    return `${HOST}:${this.ports.nameNodeHttp}`
  }

  /** The HTTP address of a DataNode, as redirects name it. */
  dataNodeAddress(index: number): string {
    return `${HOST}:${this.ports.dataNodes[index].http}`
  }

  /** Whatever was stopped or killed goes on. */
  async revive(): Promise<void> {
    for (const each of [this.nameNode, ...this.dataNodes]) {
      each.resume()
      each.start()
    }
    await this.waitReady()
  }

  /**
   * Waits until the NameNode takes writes, and all DataNodes that run serve it and are known to it.
   * @throws RigError CLUSTER_FAILED when one of them ended, TIMEOUT.
   */
  async waitReady(): Promise<void> {
    const deadline = Date.now() + readyTimeoutMs
    const wanted = [...this.dataNodes.keys()].filter((index) => this.dataNodes[index].isRunning)
    while (Date.now() < deadline) {
      if (!this.nameNode.isRunning) throw new RigError('CLUSTER_FAILED', `the NameNode ended:\n${tail(this.nameNode)}`)
      if (await this.#isReady(wanted)) return
      await sleep(pollMs)
    }
    throw new RigError('TIMEOUT', `the cluster is not ready after ${readyTimeoutMs} ms:\n${tail(this.nameNode)}`)
  }

  /** Kills all of it and removes its files. Idempotent. */
  async close(): Promise<void> {
    await Promise.all([this.nameNode, ...this.dataNodes].map((each) => each.kill()))
    rmSync(this.directory, { recursive: true, force: true })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #daemon(name: string, mainClass: string, jars: string): Daemon {
    const at = (...names: string[]): string => join(this.directory, ...names)
    return new Daemon({
      name, mainClass, user: this.superuser, logPath: at('logs', `${name}.log`), temporaryDirectory: at('tmp'),
      classPath: `${at('conf', name)}:${at('conf')}:${jars}/*`,
    })
  }

  async #isReady(wanted: readonly number[]): Promise<boolean> {
    const facts = await factsOf<NameNodeFacts>(this.address, 'NameNode')
    if (facts === null || facts.Safemode !== '') return false
    const live = Object.values(JSON.parse(facts.LiveNodes) as Record<string, LiveNode>)
    const heard = live.filter(({ capacity, lastContact }) => capacity > 0 && lastContact <= 2)
    if (heard.length < wanted.length) return false
    // One that was killed a moment ago, and starts, still counts as alive there.
    const addresses = wanted.map((index) => this.dataNodeAddress(index))
    const serving = await Promise.all(addresses.map((each) => factsOf<DataNodeFacts>(each, 'DataNode')))
    return serving.every((each) => each !== null && /"ActorState":"RUNNING"/.test(each.BPServiceActorInfo))
  }
}

interface LiveNode {
  readonly capacity: number
  /** Seconds ago. */
  readonly lastContact: number
}

interface NameNodeFacts {
  readonly Safemode: string
  readonly LiveNodes: string
}

interface DataNodeFacts {
  /** In JSON: what it is doing for each NameNode. */
  readonly BPServiceActorInfo: string
}

async function factsOf<T>(address: string, service: 'NameNode' | 'DataNode'): Promise<T | null> {
  try {
    const query = `Hadoop:service=${service},name=${service}Info`
    const response = await fetch(`http://${address}/jmx?qry=${query}`, { signal: AbortSignal.timeout(5000) })
    const { beans } = await response.json() as { beans: T[] }
    return beans[0] ?? null
  } catch {
    // It does not serve yet.
    return null
  }
}

async function choosePorts(dataNodes: number): Promise<Ports> {
  const first = await freePorts(2 + portsPerDataNode * dataNodes)
  return {
    nameNodeHttp: first,
    nameNodeRpc: first + 1,
    dataNodes: Array.from({ length: dataNodes }, (_, index) => {
      const data = first + 2 + portsPerDataNode * index
      return { data, http: data + 1, rpc: data + 2 }
    }),
  }
}

function tail({ plan }: Daemon): string {
  return readFileSync(plan.logPath, 'utf8').split('\n').slice(-logTailLines).join('\n')
}
