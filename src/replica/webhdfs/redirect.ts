/**
 * Where a NameNode sends us. A NameNode that is not sound, or somebody between, must not make us talk to another
 * service: the scheme stays, the path is the one that was asked for, and from a NameNode on another host nobody gets
 * to this host's own loopback or to link-local addresses (where clouds keep their secrets).
 */
import { isIP } from 'node:net'
import { HoldfastError } from '../../errors.ts'
import type { Server, Target } from './transport.ts'

export interface Redirect {
  /** The NameNode that sent it. */
  readonly from: Server
  readonly method: Target['method']
  readonly operation: string
  /** What was asked for: `/webhdfs/v1/...`. */
  readonly path: string
  /** Where it leads. */
  readonly location: string
}

/** Errors: REPLICA_FAULT. */
export function followRedirect({ from, method, operation, path, location }: Redirect): Target {
  const url = URL.canParse(location) ? new URL(location) : undefined
  if (url === undefined) throw elsewhere('to something that is no URL')
  if (url.protocol !== (from.isTls ? 'https:' : 'http:')) throw elsewhere(`to ${url.protocol}, not as we came`)
  if (url.username !== '' || url.password !== '') throw elsewhere('with a password')
  if (decoded(url.pathname) !== path) throw elsewhere('to another path')
  if (url.searchParams.get('op')?.toUpperCase() !== operation) throw elsewhere('to another operation')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (isLinkLocal(host)) throw elsewhere('to a link-local address')
  if (isLoopback(host) && !isLoopback(from.host)) throw elsewhere('to our own loopback')
  const port = Number(url.port || (from.isTls ? 443 : 80))
  return { server: { isTls: from.isTls, host, port }, method, path: `${url.pathname}${url.search}` }
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    // No path that we ask for has a percent sign.
    return path
  }
}

function isLoopback(host: string): boolean {
  return ['localhost', '::1', '::', '0.0.0.0'].includes(host) || host.endsWith('.localhost')
    || (isIP(host) === 4 && host.startsWith('127.')) || /^::ffff:7f/i.test(host)
}

function isLinkLocal(host: string): boolean {
  return (isIP(host) === 4 && host.startsWith('169.254.')) || /^(fe[89ab][0-9a-f]:|::ffff:a9fe:)/i.test(host)
}

function elsewhere(what: string): HoldfastError {
  return new HoldfastError('REPLICA_FAULT', `the NameNode sends us ${what}: this is not followed`)
}
