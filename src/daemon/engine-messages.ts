/** What the engine's thread and its owner tell each other: calls, their progress, their outcome. */
import type { Secret } from '../crypto/secret.ts'
import { AssertionFailure, HoldfastError, messageOf } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import type { Engine } from '../image/engine.ts'
import type { FetcherPort } from '../image/remote/messages.ts'
import type { Progress } from '../image/types.ts'

/** The calls of an engine that go through to its thread. */
export type EngineMethod = Exclude<keyof Engine, 'directory' | 'attachSource' | 'close' | typeof Symbol.asyncDispose>

/** The first message. */
export interface OpenEngine {
  directory: string
  secret: Secret | undefined
}

export type ToEngine =
  | { type: 'call'; id: number; method: EngineMethod; args: unknown }
  | { type: 'abort'; id: number }
  | { type: 'source'; source: FetcherPort }
  | { type: 'close'; id: number }

export type FromEngine =
  | { type: 'opened' }
  | { type: 'refused'; fault: Fault }
  | { type: 'progress'; id: number; progress: Progress }
  | { type: 'done'; id: number; result: unknown }
  | { type: 'failed'; id: number; fault: Fault }

/** An error as it crosses threads: classes do not. */
export interface Fault {
  code: ErrorCode | null
  message: string
  info: Record<string, unknown>
  stack: string
}

export function faultOf(error: unknown): Fault {
  const isOurs = error instanceof HoldfastError
  return {
    code: isOurs ? error.code : null,
    message: messageOf(error),
    info: isOurs ? error.info : {},
    stack: error instanceof Error ? error.stack ?? '' : '',
  }
}

export function errorOf(fault: Fault): Error {
  const cause = fault.stack === '' ? undefined : new Error(fault.stack)
  if (fault.code === null) return new AssertionFailure(`in the engine's thread: ${fault.message}\n${fault.stack}`)
  return new HoldfastError(fault.code, fault.message, { cause, info: fault.info })
}
