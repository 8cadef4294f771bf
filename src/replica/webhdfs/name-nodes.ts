/**
 * Questions to the NameNodes of a cluster: asked again while a server starts, elsewhere when it is the standby or
 * does not answer, until the call's time is over.
 */
import http from 'node:http'
import https from 'node:https'
import { HoldfastError } from '../../errors.ts'
import type { Call } from '../call.ts'
import type { WebHdfsAddress } from './address.ts'
import { Json, parseJson } from './json.ts'
import { followRedirect } from './redirect.ts'
import { RemoteFailure, refusedError, remoteFailure } from './remote.ts'
import { type Reply, type Server, type Target, type TlsOptions, TransportFailure, ask } from './transport.ts'

export interface NameNodeOptions {
  readonly address: WebHdfsAddress
  readonly delegationToken?: string
  readonly tls?: TlsOptions
  readonly socketsMax: number
}

export interface Question {
  readonly method: Target['method']
  readonly operation: string
  /** Below the root; '' is the root. */
  readonly path: string
  readonly parameters?: Readonly<Record<string, string | number>>
  /** What the server does about it; a change that may be made twice is asked again when its answer is lost. */
  readonly effect: 'none' | 'repeatable' | 'once'
}

/** lost: a change with effect `once` was asked for, and its answer did not come. */
export type Answer = { readonly kind: 'done'; readonly json: Json } | RefusedAnswer | { readonly kind: 'lost' }

export interface RefusedAnswer {
  readonly kind: 'refused'
  readonly failure: RemoteFailure
}

const apiPath = '/webhdfs/v1'

export class NameNodes {
  readonly #options: NameNodeOptions
  readonly #agent: http.Agent
  /** The one that answered last. */
  #active = 0

  constructor(options: NameNodeOptions) {
    this.#options = options
    const agentOptions = { keepAlive: true, maxSockets: options.socketsMax, maxFreeSockets: 4 }
    this.#agent = options.address.nameNodes[0].isTls ? new https.Agent(agentOptions) : new http.Agent(agentOptions)
  }

  get tls(): TlsOptions | undefined {
    return this.#options.tls
  }

  /** A definite answer, or `lost`. Errors: REPLICA_UNREACHABLE, REPLICA_UNCLEAR, REPLICA_FAULT, ABORTED. */
  async ask(call: Call, question: Question): Promise<Answer> {
    for (let tries = 1; ; tries++) {
      const server = this.#server()
      const wasUnclear = call.isUnclear
      // Should the time end before the answer comes, the change may be done.
      if (question.effect !== 'none') call.isUnclear = true
      try {
        const reply = await ask(this.#target(server, question), call)
        call.isUnclear = wasUnclear
        if (reply.status >= 200 && reply.status < 300) return { kind: 'done', json: jsonOf(reply, question) }
        const location = reply.status === 307 ? reply.headers.location : undefined
        if (location !== undefined) return { kind: 'done', json: new Json({ Location: location }, question.operation) }
        const failure = remoteFailure(reply)
        if (failure.refusal !== 'again' && failure.refusal !== 'elsewhere') return { kind: 'refused', failure }
        call.lastFailure = failure
        if (failure.refusal === 'elsewhere') this.#leave(server)
      } catch (error) {
        if (!(error instanceof TransportFailure)) throw error
        if (error.kind === 'fault') throw faultOf(error)
        if (error.kind === 'unsent') call.isUnclear = wasUnclear
        call.lastFailure = error
        this.#leave(server)
        if (error.kind === 'lost' && question.effect === 'once') return { kind: 'lost' }
      }
      if (tries % this.#options.address.nameNodes.length === 0) await call.backOff(tries)
      else call.check()
    }
  }

  /** The JSON of an answer that has to be `done`. Errors: as `ask`, and what a refusal stands for, with `doing`. */
  async demand(call: Call, question: Question, doing: string): Promise<Json> {
    const answer = await this.ask(call, question)
    if (answer.kind === 'done') return answer.json
    if (answer.kind === 'refused') throw refusedError(answer.failure, doing)
    call.isUnclear = true
    throw call.overdue()
  }

  /** Where a DataNode does what was asked for. Errors: as `demand`, REPLICA_FAULT for a place we do not go to. */
  async locate(call: Call, question: Question, doing: string): Promise<Target> {
    const parameters = { ...question.parameters, noredirect: 'true' }
    const json = await this.demand(call, { ...question, parameters, effect: 'none' }, doing)
    const { method, operation, path } = question
    const location = json.field('Location').text()
    const from = this.#server()
    const target = followRedirect({ from, method, operation, path: this.#fullPath(path), location })
    return { ...target, tls: this.#options.tls }
  }

  /** What the NameNode tells its operators, as JSON; undefined where it does not tell us. */
  async beans(call: Call, name: string): Promise<unknown> {
    const query = new URLSearchParams({ ...this.#identity(), qry: name })
    try {
      const reply = await ask(this.#targetOf(this.#server(), 'GET', `/jmx?${query}`), call)
      return reply.status === 200 ? parseJson(reply.body.toString('utf8')) : undefined
    } catch (error) {
      if (error instanceof TransportFailure) return undefined
      throw error
    }
  }

  /** An absolute path of the file system, as parameters name it. */
  absolute(path: string): string {
    const { root } = this.#options.address
    if (path === '') return root === '' ? '/' : root
    return `${root}/${path}`
  }

  close(): void {
    this.#agent.destroy()
  }

  #fullPath(path: string): string {
    return `${apiPath}${this.absolute(path)}`
  }

  #target(server: Server, { method, operation, path, parameters }: Question): Target {
    const query = new URLSearchParams({ op: operation, ...this.#identity() })
    for (const [name, value] of Object.entries(parameters ?? {})) query.set(name, String(value))
    return this.#targetOf(server, method, `${this.#fullPath(path)}?${query}`)
  }

  #targetOf(server: Server, method: Target['method'], path: string): Target {
    return { server, method, path, agent: this.#agent, tls: this.#options.tls }
  }

  #identity(): Record<string, string> {
    const { delegationToken, address: { user } } = this.#options
    if (delegationToken !== undefined) return { delegation: delegationToken }
    return user === null ? {} : { 'user.name': user }
  }

  #server(): Server {
    return this.#options.address.nameNodes[this.#active]
  }

  /** Others may have moved on already. */
  #leave(server: Server): void {
    const { nameNodes } = this.#options.address
    if (nameNodes[this.#active] === server) this.#active = (this.#active + 1) % nameNodes.length
  }
}

function jsonOf({ body }: Reply, { operation }: Question): Json {
  if (body.length === 0) return new Json({}, operation)
  const value = parseJson(body.toString('utf8'))
  if (value !== undefined) return new Json(value, operation)
  throw new HoldfastError('REPLICA_FAULT', `the NameNode answers ${operation} with something that is no JSON`)
}

export function faultOf(failure: TransportFailure): HoldfastError {
  return new HoldfastError('REPLICA_FAULT', failure.message, { cause: failure })
}
