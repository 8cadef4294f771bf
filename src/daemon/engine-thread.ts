/** The engine's own thread: committing, exporting and checking go on here while its owner stays responsive. */
import { parentPort } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import { onDuty } from '../env/spare-thread.ts'
import type { Engine } from '../image/engine.ts'
import { openLocalEngine } from '../image/local-engine.ts'
import type { CallOptions } from '../image/types.ts'
import { practise } from '../mount/practice.ts'
import { faultOf } from './engine-messages.ts'
import type { FromEngine, OpenEngine, ToEngine } from './engine-messages.ts'

class EngineThread {
  readonly #engine: Engine
  readonly #port: MessagePort
  readonly #aborts = new Map<number, AbortController>()

  constructor(engine: Engine, port: MessagePort) {
    this.#engine = engine
    this.#port = port
    port.on('message', (message: ToEngine) => this.#receive(message))
  }

  #receive(message: ToEngine): void {
    if (message.type === 'abort') return this.#aborts.get(message.id)?.abort()
    if (message.type === 'source') return this.#engine.attachSource(message.source)
    if (message.type === 'call') return void this.#answer(message.id, () => this.#call(message))
    void this.#answer(message.id, () => this.#engine.close()).then(() => this.#port.close())
  }

  #call({ id, method, args }: Extract<ToEngine, { type: 'call' }>): Promise<unknown> {
    const abort = new AbortController()
    this.#aborts.set(id, abort)
    const options: CallOptions = {
      signal: abort.signal, progress: (progress) => this.#post({ type: 'progress', id, progress }),
    }
    const call = this.#engine[method] as (args: unknown, options: CallOptions) => Promise<unknown>
    // Calls without arguments take their options first.
    return args === undefined ? call.call(this.#engine, options, options) : call.call(this.#engine, args, options)
  }

  async #answer(id: number, run: () => Promise<unknown>): Promise<void> {
    try {
      this.#post({ type: 'done', id, result: await run() })
    } catch (error) {
      this.#post({ type: 'failed', id, fault: faultOf(error) })
    } finally {
      this.#aborts.delete(id)
    }
  }

  #post(message: FromEngine): void {
    this.#port.postMessage(message)
  }
}

async function serve(port: MessagePort, { directory, secret }: OpenEngine): Promise<void> {
  // Without a listener, for a moment, the port would not keep the thread alive.
  port.ref()
  try {
    const engine = await openLocalEngine(directory, {
      secret,
      progress: (progress) => port.postMessage({ type: 'progress', id: 0, progress } satisfies FromEngine),
    })
    new EngineThread(engine, port)
    port.postMessage({ type: 'opened' } satisfies FromEngine)
  } catch (error) {
    port.postMessage({ type: 'refused', fault: faultOf(error) } satisfies FromEngine)
    port.close()
  }
}

// The thread may have been started before it was known for which store.
const owner = parentPort
if (owner !== null) onDuty((message: OpenEngine) => void serve(owner, message), practise)
