/** Who paused the guest: the run state as events tell it, with our own commands known. */
import type { RunState } from '../driver.ts'
import type { QmpEvent } from './qmp.ts'

export class RunStateTracker {
  #state: RunState
  #stopIsOurs = false
  #failing = false

  constructor(initial: RunState) {
    this.#state = initial
  }

  get state(): RunState {
    return this.#state
  }

  /** From here on a stop of the guest is ours. Called before the command is sent. */
  expectStop(): void {
    this.#stopIsOurs = true
  }

  /** The command returned, or failed: then a later stop is again that of others. */
  stopReturned(stopped: boolean): void {
    this.#stopIsOurs = false
    if (stopped && this.#state !== 'exited') this.#state = 'pausedByUs'
  }

  observe(event: QmpEvent): void {
    if (this.#state === 'exited') return
    if (event.name === 'STOP')
      this.#state = this.#failing
        ? 'pausedByError'
        : this.#stopIsOurs
          ? 'pausedByUs'
          : this.#state === 'running'
            ? 'pausedByOthers'
            : this.#state
    else if (event.name === 'RESUME') this.#run()
    else if (event.name === 'SHUTDOWN') this.#state = 'shutdown'
    // An error is told before the stop that it causes.
    else if (event.name === 'GUEST_PANICKED') this.#failing = event.data['action'] === 'pause'
    else if (event.name === 'BLOCK_IO_ERROR') this.#failing ||= event.data['action'] === 'stop'
  }

  /** What `query-status` says, for a machine whose events we did not see. `ours` is what our own mark says. */
  settle(status: string, ours: boolean): void {
    if (this.#state !== 'exited') this.#state = stateOf(status, ours)
  }

  exited(): void {
    this.#state = 'exited'
  }

  #run(): void {
    this.#failing = false
    this.#state = 'running'
  }
}

/** Source: RunState in qapi/run-state.json of QEMU 7.2. */
function stateOf(status: string, ours: boolean): RunState {
  if (status === 'running') return 'running'
  if (status === 'shutdown') return 'shutdown'
  if (['io-error', 'internal-error', 'guest-panicked', 'watchdog'].includes(status)) return 'pausedByError'
  if (['paused', 'postmigrate', 'finish-migrate', 'save-vm', 'debug', 'suspended'].includes(status))
    return ours ? 'pausedByUs' : 'pausedByOthers'
  return 'unknown'
}
