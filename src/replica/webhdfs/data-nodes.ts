/**
 * DataNodes that failed, for one call, in the words of `excludedatanodes`. A redirect names a DataNode by its HTTP
 * port, the parameter by its data port; the NameNode's operators' page has both. Without it the host alone is named.
 */
import type { Call } from '../call.ts'
import { excludedNodesMax } from '../limits.ts'
import { parseJson } from './json.ts'
import type { NameNodes } from './name-nodes.ts'
import type { DataNodeFailure } from './data-node-failure.ts'
import { nameOfServer } from './transport.ts'

const bean = 'Hadoop:service=NameNode,name=NameNodeInfo'

/** Data addresses by HTTP addresses. */
type DataAddresses = ReadonlyMap<string, string>

export class Exclusions {
  readonly #nameNodes: NameNodes
  readonly #excluded = new Set<string>()

  constructor(nameNodes: NameNodes) {
    this.#nameNodes = nameNodes
  }

  /** For the NameNode; nothing when nobody is excluded. */
  get parameters(): Record<string, string> {
    return this.#excluded.size === 0 ? {} : { excludedatanodes: [...this.#excluded].join(',') }
  }

  /** Who failed is left out from now on; when all have failed, all get another chance. */
  async add(call: Call, { blame }: DataNodeFailure): Promise<void> {
    if (blame === 'contents') return
    if (blame === 'nobody') return this.#excluded.clear()
    const addresses = dataAddresses(await this.#nameNodes.beans(call, bean))
    this.#excluded.add(addresses.get(nameOfServer(blame)) ?? blame.host)
    const areAllOut = addresses.size > 0 && [...addresses.values()].every((each) => this.#excluded.has(each))
    if (areAllOut || this.#excluded.size > excludedNodesMax) this.#excluded.clear()
  }
}

function dataAddresses(answer: unknown): DataAddresses {
  const addresses = new Map<string, string>()
  for (const node of liveNodes(answer)) {
    if (typeof node !== 'object' || node === null || !('xferaddr' in node)) continue
    const { xferaddr } = node
    if (typeof xferaddr !== 'string' || !/^[^\s,]{1,255}:\d{1,5}$/.test(xferaddr)) continue
    for (const name of ['infoAddr', 'infoSecureAddr']) {
      const address = Object.entries(node).find(([key]) => key === name)?.[1] as unknown
      if (typeof address === 'string') addresses.set(address, xferaddr)
    }
  }
  return addresses
}

/** The page has them as JSON in a text in JSON. What is not there is nobody. */
function liveNodes(answer: unknown): unknown[] {
  if (typeof answer !== 'object' || answer === null || !('beans' in answer) || !Array.isArray(answer.beans)) return []
  const info = answer.beans[0] as unknown
  if (typeof info !== 'object' || info === null || !('LiveNodes' in info)) return []
  const nodes = typeof info.LiveNodes === 'string' ? parseJson(info.LiveNodes) : undefined
  return typeof nodes === 'object' && nodes !== null ? Object.values(nodes) : []
}
