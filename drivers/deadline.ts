import { DriverError } from './errors.ts'

/** How long a call may take, counted from the call, and who may end it sooner. */
export interface CallLimit {
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/**
 * The result of `work`, unless the limit passes first (null: there is none). The work itself goes on: whoever gives up
 * must undo it.
 * @throws DriverError `TIMEOUT` or `ABORTED`
 */
export function within<T>(
  work: Promise<T>,
  timeoutMs: number | null,
  what: string,
  signal?: AbortSignal,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const finish = (): void => {
      if (timer !== null) clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
    const abort = (): void => {
      finish()
      reject(new DriverError('ABORTED', `${what} was aborted.`, { cause: signal?.reason }))
    }
    const late = (): void => {
      finish()
      reject(new DriverError('TIMEOUT', `${what} took longer than ${timeoutMs} ms.`))
    }
    const timer = timeoutMs === null ? null : setTimeout(late, timeoutMs)
    work.then(
      (value) => {
        finish()
        resolve(value)
      },
      (error: unknown) => {
        finish()
        reject(error)
      },
    )
    if (signal?.aborted) abort()
    else signal?.addEventListener('abort', abort)
  })
}

/** Marks a promise as looked after, for one that is awaited later or only sometimes. */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return promise
}
