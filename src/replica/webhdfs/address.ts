/**
 * webhdfs://HOST:PORT[,HOST:PORT...]/PATH?user=NAME with swebhdfs:// for TLS. Several hosts are the NameNodes of one
 * cluster. IPv6 addresses stand in brackets.
 */
import { HoldfastError } from '../../errors.ts'
import type { Server } from './transport.ts'

export interface WebHdfsAddress {
  readonly nameNodes: readonly Server[]
  /** Absolute, without a slash at its end; '' for the root of the cluster. */
  readonly root: string
  readonly user: string | null
}

export const webHdfsSchemes = ['webhdfs', 'swebhdfs'] as const

const defaultPorts = { webhdfs: 9870, swebhdfs: 9871 }
const nameNodesMax = 16
const pattern = /^(webhdfs|swebhdfs):\/\/([^/?#]+)([^?#]*)(?:\?([^#]*))?$/
const serverPattern = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/

/** Errors: USAGE. */
export function parseWebHdfsUrl(url: string): WebHdfsAddress {
  const match = pattern.exec(url)
  if (match === null) throw wrong('it is not webhdfs://HOST:PORT/PATH?user=NAME')
  const [, scheme, servers, path, query] = match
  return {
    nameNodes: parseServers(servers, scheme as keyof typeof defaultPorts),
    root: parseRoot(path),
    user: parseUser(query ?? ''),
  }
}

export function formatWebHdfsUrl({ nameNodes, root, user }: WebHdfsAddress): string {
  const servers = nameNodes.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`)
  const scheme = nameNodes[0].isTls ? 'swebhdfs' : 'webhdfs'
  return `${scheme}://${servers.join(',')}${root === '' ? '/' : root}${user === null ? '' : `?user=${user}`}`
}

function parseServers(text: string, scheme: keyof typeof defaultPorts): Server[] {
  const servers = text.split(',').map((each) => {
    const match = serverPattern.exec(each)
    const port = Number(match?.[2] ?? defaultPorts[scheme])
    if (match === null || port < 1 || port > 65_535) throw wrong(`${JSON.stringify(each)} is not HOST:PORT`)
    return { isTls: scheme === 'swebhdfs', host: match[1].replace(/^\[|\]$/g, ''), port }
  })
  if (servers.length > nameNodesMax) throw wrong(`it names more than ${nameNodesMax} NameNodes`)
  return servers
}

function parseRoot(path: string): string {
  const root = path.replace(/\/+$/, '')
  if (root === '' || /^(\/(?!\.\.?(\/|$))[A-Za-z0-9._@+=,-]{1,255})+$/.test(root)) return root
  throw wrong(`its path may have letters, digits and ._@+=,- only, between single slashes`)
}

function parseUser(query: string): string | null {
  const parameters = new URLSearchParams(query)
  const user = parameters.get('user')
  const others = [...parameters.keys()].filter((key) => key !== 'user')
  if (others.length > 0) throw wrong(`${JSON.stringify(others[0])} is not known: only user=NAME is`)
  if (user === null || /^[A-Za-z0-9._-]{1,64}$/.test(user)) return user
  throw wrong(`${JSON.stringify(user)} is not a user's name`)
}

function wrong(why: string): HoldfastError {
  return new HoldfastError('USAGE', `the URL of the replica is not right: ${why}`)
}
