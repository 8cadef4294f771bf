/** The serving process's end of the channel to its supervisor. */
import type { Socket } from 'node:net'
import type { ProcessExit, SpawnRequest, SpawnedProcess } from '../../machine/spawner.ts'
import { errorOf } from '../faults.ts'
import type { FromSupervisor, ToSupervisor } from './messages.ts'

type Asking = Extract<ToSupervisor, { id: number }>
type Question = Asking extends infer One ? One extends Asking ? Omit<One, 'id'> : never : never
type Result = Extract<FromSupervisor, { type: 'answer' }>['result']
type StandBy = Extract<FromSupervisor, { type: 'standBy' }>
type Order = Extract<FromSupervisor, { type: 'serve' }>

/** A process that the supervisor started for us. */
interface Spawned {
  readonly channels: Socket[]
  readonly exited: PromiseWithResolvers<ProcessExit>
}

export class SupervisorLink {
  readonly #pending = new Map<number, PromiseWithResolvers<Result>>()
  readonly #spawned = new Map<number, Spawned>()
  readonly #order = Promise.withResolvers<Order>()
  #lastId = 0
  onClient: (socket: Socket) => void = (socket) => socket.destroy()
  onStop: () => void = () => undefined
  onRetire: (waits: boolean) => void = () => undefined
  onStandBy: (mounted: StandBy) => void = () => undefined

  /** `onLost`: the supervisor is gone. */
  constructor(onLost: () => void) {
    process.on('message', (message: FromSupervisor, socket: Socket | undefined) => this.#receive(message, socket))
    process.once('disconnect', onLost)
  }

  /** Resolves when this process is to serve. */
  get order(): Promise<Order> {
    return this.#order.promise
  }

  tell(message: Exclude<ToSupervisor, { id: number }>): void {
    if (process.connected) process.send?.(message)
  }

  /** Resolves when the supervisor has done it. Errors: what it says. */
  ask(question: Question): Promise<Result> {
    this.#lastId += 1
    return this.#ask(question, this.#lastId)
  }

  /** As `Host.spawn` of the drivers. Errors: what the supervisor says. */
  async spawn(request: SpawnRequest): Promise<SpawnedProcess> {
    const { processOf } = await import('../../machine/spawner.ts')
    this.#lastId += 1
    const id = this.#lastId
    const spawned = { channels: [], exited: Promise.withResolvers<ProcessExit>() }
    this.#spawned.set(id, spawned)
    try {
      const identity = await this.#ask({ type: 'spawn', request }, id)
      if (identity === null || !('pid' in identity)) throw new TypeError('the supervisor answered something else')
      return { ...processOf(identity, spawned.exited.promise, () => undefined), channels: spawned.channels }
    } catch (error) {
      this.#spawned.delete(id)
      throw error
    }
  }

  #ask(question: Question, id: number): Promise<Result> {
    const pending = Promise.withResolvers<Result>()
    this.#pending.set(id, pending)
    process.send?.({ ...question, id })
    return pending.promise
  }

  #receive(message: FromSupervisor, socket: Socket | undefined): void {
    switch (message.type) {
      case 'serve':
        return this.#order.resolve(message)
      case 'client':
        this.tell({ type: 'took', client: message.client })
        return socket === undefined ? undefined : this.onClient(socket)
      case 'standBy':
        return this.onStandBy(message)
      case 'retire':
        return this.onRetire(message.waits)
      case 'stop':
        return this.onStop()
      case 'channel':
        return this.#takeChannel(message.id, socket)
      case 'exited':
        this.#spawned.get(message.id)?.exited.resolve(message.exit)
        this.#spawned.delete(message.id)
        return
      case 'answer': {
        const pending = this.#pending.get(message.id)
        this.#pending.delete(message.id)
        if (message.fault === null) pending?.resolve(message.result)
        else pending?.reject(errorOf(message.fault))
      }
    }
  }

  #takeChannel(id: number, socket: Socket | undefined): void {
    // The end of the process may show as an error of a channel that nobody uses at that moment.
    socket?.on('error', () => undefined)
    if (socket !== undefined) this.#spawned.get(id)?.channels.push(socket)
  }
}
