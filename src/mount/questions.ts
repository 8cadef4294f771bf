/** Messages to a server that ask for an answer carry an id, by which the answer finds the asker. */
import type { HoldfastError } from '../errors.ts'
import type { FromServer, ToServer } from './messages.ts'

export type Answer<T extends FromServer['type']> = Extract<FromServer, { type: T }>
type Asking = Extract<ToServer, { id: number }>
export type Question = Asking extends infer One ? One extends Asking ? Omit<One, 'id'> : never : never

export class Questions {
  readonly #send: (message: ToServer) => void
  readonly #pending = new Map<number, { resolve: (answer: FromServer) => void; reject: (error: Error) => void }>()
  #lastId = 0
  #ended: HoldfastError | null = null

  constructor(send: (message: ToServer) => void) {
    this.#send = send
  }

  /** Errors: what the server has ended with. */
  ask<T extends FromServer['type']>(question: Question): Promise<Answer<T>> {
    if (this.#ended !== null) return Promise.reject(this.#ended)
    this.#lastId += 1
    const id = this.#lastId
    return new Promise<Answer<T>>((resolve, reject) => {
      this.#pending.set(id, { resolve: (answer) => resolve(answer as Answer<T>), reject })
      this.#send({ ...question, id } as ToServer)
    })
  }

  /** Gives an answer to its asker; other messages are let pass. */
  take(message: FromServer): void {
    if (!('id' in message)) return
    const pending = this.#pending.get(message.id)
    this.#pending.delete(message.id)
    pending?.resolve(message)
  }

  end(error: HoldfastError): void {
    this.#ended ??= error
    for (const { reject } of this.#pending.values()) reject(this.#ended)
    this.#pending.clear()
  }
}
