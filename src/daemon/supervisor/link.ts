/** The serving process's end of the channel to its supervisor. */
import type { Socket } from 'node:net'
import { errorOf } from '../faults.ts'
import type { FromSupervisor, ToSupervisor } from './messages.ts'

type Asking = Extract<ToSupervisor, { id: number }>
type Question = Asking extends infer One ? One extends Asking ? Omit<One, 'id'> : never : never
type Order = Extract<FromSupervisor, { type: 'serve' }>

export class SupervisorLink {
  readonly #pending = new Map<number, PromiseWithResolvers<void>>()
  readonly #order = Promise.withResolvers<Order>()
  #lastId = 0
  onClient: (socket: Socket) => void = (socket) => socket.destroy()
  onStop: () => void = () => undefined
  onRetire: () => void = () => undefined

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
  ask(question: Question): Promise<void> {
    this.#lastId += 1
    const id = this.#lastId
    const pending = Promise.withResolvers<void>()
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
      case 'retire':
        return this.onRetire()
      case 'stop':
        return this.onStop()
      case 'answer': {
        const pending = this.#pending.get(message.id)
        this.#pending.delete(message.id)
        if (message.fault === null) pending?.resolve()
        else pending?.reject(errorOf(message.fault))
      }
    }
  }
}
