/** What a NameNode or a DataNode says when it refuses, by the name of its exception. */
import { HoldfastError } from '../../errors.ts'
import type { ErrorCode } from '../../errors.ts'
import { parseJson } from './json.ts'
import type { Reply } from './transport.ts'

/** again: the same server later. elsewhere: another server now. Else the answer is final. */
export type Refusal = 'again' | 'elsewhere' | 'absent' | 'exists' | 'denied' | 'full' | 'other'

export class RemoteFailure extends Error {
  readonly refusal: Refusal
  /** The exception's name without its package; empty where the answer was none of Hadoop's. */
  readonly exception: string

  constructor(refusal: Refusal, exception: string, message: string) {
    super(message)
    this.refusal = refusal
    this.exception = exception
  }
}

const refusals: Record<string, Refusal> = {
  StandbyException: 'elsewhere',
  ObserverRetryOnActiveException: 'elsewhere',
  RetriableException: 'again',
  SafeModeException: 'again',
  RpcServerException: 'again',
  FileNotFoundException: 'absent',
  ParentNotDirectoryException: 'absent',
  FileAlreadyExistsException: 'exists',
  AlreadyBeingCreatedException: 'exists',
  PathIsNotEmptyDirectoryException: 'exists',
  AccessControlException: 'denied',
  SecurityException: 'denied',
  AuthenticationException: 'denied',
  AuthorizationException: 'denied',
  InvalidToken: 'denied',
  QuotaExceededException: 'full',
  DSQuotaExceededException: 'full',
  NSQuotaExceededException: 'full',
}

const messageCharactersMax = 300

/** The failure that an answer stands for. */
export function remoteFailure({ status, body }: Reply): RemoteFailure {
  const { exception, message } = exceptionIn(body.toString('utf8'))
  const text = `${exception || `HTTP status ${status}`}${message === '' ? '' : `: ${message}`}`
  return new RemoteFailure(refusalOf(status, exception, message), exception, text)
}

/** For whoever called: our code for a final answer. `absent` and `exists` are the caller's to explain. */
export function refusedError(failure: RemoteFailure, doing: string): HoldfastError {
  const codes: Partial<Record<Refusal, ErrorCode>> = {
    absent: 'NOT_FOUND', exists: 'EXISTS', denied: 'REPLICA_DENIED', full: 'NO_SPACE',
  }
  const code = codes[failure.refusal] ?? (failure.exception === '' ? 'REPLICA_FAULT' : 'IO')
  return new HoldfastError(code, `${doing}: ${failure.message}`, { cause: failure })
}

function refusalOf(status: number, exception: string, message: string): Refusal {
  // Hadoop wraps what a server that is starting says in an IOException or a RemoteException now and then.
  if (/SafeModeException|Cannot .* in safe mode|still not started/.test(message)) return 'again'
  if (message.includes('StandbyException')) return 'elsewhere'
  const known = refusals[exception]
  if (known !== undefined) return known
  if (status === 401 || (status === 403 && exception === '')) return 'denied'
  return exception === '' && (status === 429 || status >= 502) ? 'again' : 'other'
}

function exceptionIn(text: string): { exception: string; message: string } {
  const json = parseJson(text)
  const remote = typeof json === 'object' && json !== null && 'RemoteException' in json ? json.RemoteException : null
  if (typeof remote !== 'object' || remote === null) return { exception: '', message: '' }
  const exception = 'exception' in remote && typeof remote.exception === 'string' ? remote.exception : ''
  const message = 'message' in remote && typeof remote.message === 'string' ? remote.message : ''
  const [line] = message.split('\n')
  return { exception: exception.slice(0, 100), message: line.slice(0, messageCharactersMax) }
}
