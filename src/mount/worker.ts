/**
 * The serving worker of one kernel mount: holds the head of its image and answers the kernel until the file
 * system is unmounted. Its event loop seldom turns while it serves; see messages.ts for how it is talked to.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { receiveMessageOnPort } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import { KernelReplies, resend, Session, traceFile } from '../../fuse/index.ts'
import type { SessionEnd } from '../../fuse/index.ts'
import { onDuty } from '../env/spare-thread.ts'
import { messageOf } from '../errors.ts'
import { HeadServer } from './head-server.ts'
import { type AheadRequest, LogAhead } from './log-ahead.ts'
import type { FromServer, ToServer, WorkerStart } from './messages.ts'
import { practise } from './practice.ts'

/** Each digest of a request leaves some 400 bytes until the loop turns, which costs less than one request. */
const messagesPerTurn = 256

/** Not empty: a read that ends at the start would make the kernel take the file for empty and ask no more. */
const taken = new Uint8Array(1)

/** Requests and replies as text, with names, for whoever looks for a fault; read when a mount begins to be served. */
const tracePath = process.env.HOLDFAST_TRACE

/** What this thread reads while it stands by. */
let ahead: LogAhead | null = null

async function readAhead(request: AheadRequest | null): Promise<void> {
  ahead?.close()
  ahead = request === null ? null : new LogAhead(request)
  await ahead?.caughtUp
}

async function serve(start: WorkerStart): Promise<void> {
  const { port, descriptor, controlName, head, limits, syncMark, connection, negotiated, failure, source } = start
  const post = (message: FromServer): void => port.postMessage(message)
  await using server = await HeadServer.open({
    head, limits, syncMark, connection, failure, post, source, ahead: ahead?.take(head),
    replies: new KernelReplies(descriptor),
    postponed: () => session.postponed,
    requestCounts: () => ({ requests: session.counts.requestCount, resent: session.counts.resentCount }),
  })
  const session: Session = new Session({
    descriptor, controlName, negotiated,
    onNegotiated: (agreed) => post({ type: 'negotiated', negotiated: agreed }),
    operations: server.operations,
    onTrace: tracePath === undefined ? undefined : traceFile(tracePath),
    onControl: () => drain(port, server),
    onFault: (error) => post({ type: 'fault', message: messageOf(error) }),
  })
  if (negotiated !== undefined) resend(descriptor)
  post({ type: 'ready' })
  post({ type: 'ended', how: await run(session) })
}

/** Native modules' buffers are freed when the event loop turns, and nowhere else: it does so now and then. */
async function run(session: Session): Promise<SessionEnd> {
  for (;;) {
    const how = session.run(messagesPerTurn)
    if (how !== 'paused') return how
    await turn()
  }
}

function drain(port: MessagePort, server: HeadServer): Uint8Array {
  server.reached()
  for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
    server.handle(next.message as ToServer)
  }
  return taken
}

// The thread may have been started before its mount was wanted; it ends with it.
onDuty((start: WorkerStart) => void serve(start), practise, (what) => readAhead(what as AheadRequest | null))
