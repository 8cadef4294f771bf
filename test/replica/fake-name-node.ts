/** A server that says whatever a test wants, as a NameNode or a DataNode. */
import type { ExecutionContext } from 'ava'
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { systemEnv } from '../../src/env/system.ts'
import { type ReplicaLimits, replicaLimits } from '../../src/replica/limits.ts'
import { type WebHdfsOptions, WebHdfsReplica } from '../../src/replica/webhdfs/webhdfs-replica.ts'

export interface FakeRequest {
  readonly method: string
  /** In upper case; JMX for the operators' page. */
  readonly operation: string
  readonly url: URL
  readonly request: http.IncomingMessage
  readonly response: http.ServerResponse
}

/** True when it has answered, or does so later; else the default answer is given. */
export type Script = (request: FakeRequest) => boolean

/** No pauses between tries, and time enough on a machine that is busy. */
const patientLimits: ReplicaLimits = {
  ...replicaLimits, connectTimeoutMs: 20_000, replyTimeoutMs: 20_000, idleTimeoutMs: 20_000, backoffMinMs: 5, backoffMaxMs: 20,
}

/** For servers that never answer. */
export const shortLimits: ReplicaLimits = { ...patientLimits, replyTimeoutMs: 300, idleTimeoutMs: 300 }

/** Its address, HOST:PORT; closed when the test ends. */
export async function fakeServer(t: ExecutionContext, script: Script, tls?: { key: string; cert: string }): Promise<string> {
  const handler: http.RequestListener = (request, response) => {
    const url = new URL(request.url ?? '', 'http://fake')
    const operation = url.pathname === '/jmx' ? 'JMX' : (url.searchParams.get('op') ?? '').toUpperCase()
    if (!script({ method: request.method ?? '', operation, url, request, response })) standard(operation, response)
  }
  const server = tls === undefined ? http.createServer(handler) : https.createServer(tls, handler)
  server.on('checkContinue', handler)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

export function fakeReplica(t: ExecutionContext, servers: string, options: WebHdfsOptions & { scheme?: string } = {}): WebHdfsReplica {
  const url = `${options.scheme ?? 'webhdfs'}://${servers}/root?user=me`
  const replica = new WebHdfsReplica(systemEnv(), url, { limits: patientLimits, ...options })
  t.teardown(() => replica.close())
  return replica
}

export function fileStatus(fields: Record<string, unknown> = {}): Record<string, unknown> {
  return { fileId: 7, type: 'FILE', length: 3, modificationTime: 1000, pathSuffix: '', ...fields }
}

export function answer(response: http.ServerResponse, value: unknown, status = 200): true {
  response.writeHead(status, { 'Content-Type': 'application/json' })
  response.end(typeof value === 'string' ? value : JSON.stringify(value))
  return true
}

export function refuse(response: http.ServerResponse, exception: string, message = 'no', status = 403): true {
  return answer(response, { RemoteException: { exception, javaClassName: `x.${exception}`, message } }, status)
}

function standard(operation: string, response: http.ServerResponse): void {
  if (operation === 'GETFILESTATUS') answer(response, { FileStatus: fileStatus() })
  else if (operation === 'JMX') answer(response, { beans: [] })
  else answer(response, { boolean: true })
}
