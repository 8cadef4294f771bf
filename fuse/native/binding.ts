/**
 * The compiled half of the package fuse-native 2.2.6, as this room uses it. Its JavaScript half is
 * left out on purpose: it builds a shell command from the mount point, answers after 15 seconds
 * whatever happens, hides how much room a reply has (a longer extended attribute than was asked for
 * is sent from beyond the buffer), and passes offsets as numbers.
 *
 * The binding calls back in the thread whose loop is the process's first, whatever thread loaded it:
 * so only the main thread of a process may serve.
 *
 *   kernel -- libfuse thread -- (waits) --> handler(locals, opcode, ...arguments) in the main thread
 *                            <-- (wakes) -- signal(locals, result, ...values)
 *
 * `locals` are the bytes of the waiting thread's structure. A handler answers exactly once, now or
 * later; until then lent buffers are valid.
 */
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { FuseError, systemCode } from '../errors.ts'

/** The last operation's number and one: what the binding wants told which exist. */
export const OPERATIONS_MAX = 35

export type NativeHandler = (locals: Buffer, opcode: number, ...values: unknown[]) => void

export type NativeSignal = (locals: Buffer, result: number, ...values: unknown[]) => void

export interface NativeBinding {
  readonly sizeof_fuse_thread_t: number
  readonly fuse_native_mount: (
    directory: string,
    options: string,
    thread: Buffer,
    context: object,
    allocate: (bytes: number) => Buffer,
    handlers: readonly (NativeHandler | undefined)[],
    implemented: Uint32Array,
  ) => void
  /** Lets the event loop end; the thread ends with the connection. */
  readonly fuse_native_unmount: (directory: string, thread: Buffer) => void
  readonly [operation: `op_${string}`]: number
  readonly [signal: `fuse_native_signal_${string}`]: NativeSignal
}

const RTLD_NOW = 2
/** Node closes again what is no addon of its own; so marked it stays. */
const RTLD_NODELETE = 0x1000

/**
 * FUSE_MODULE_MISSING when the optional package is not there or cannot be loaded. The library that it
 * was compiled for, libfuse.so.2, is taken from the system, or else from the package's own copy. The
 * package is looked for from the module `from`.
 */
export function loadBinding(from: string = import.meta.url): NativeBinding {
  const fromPackage = packageRequire(from)
  const directory = dirname(fromPackage.resolve('fuse-native/package.json'))
  try {
    return bindingOf(fromPackage, directory)
  } catch (error) {
    if (systemCode(error) !== 'ERR_DLOPEN_FAILED') throw missing('has no binary for this machine', error)
  }
  preloadLibrary(fromPackage)
  try {
    return bindingOf(fromPackage, directory)
  } catch (error) {
    throw missing('cannot be loaded', error)
  }
}

/** Requires as the package itself would. */
function packageRequire(from: string): NodeJS.Require {
  try {
    return createRequire(createRequire(from).resolve('fuse-native/package.json'))
  } catch (error) {
    throw missing('is not installed', error)
  }
}

function bindingOf(fromPackage: NodeJS.Require, directory: string): NativeBinding {
  return (fromPackage('node-gyp-build') as (directory: string) => NativeBinding)(directory)
}

function preloadLibrary(fromPackage: NodeJS.Require): void {
  const { lib } = fromPackage('fuse-shared-library') as { lib: string }
  try {
    process.dlopen({ exports: {} }, lib, RTLD_NOW | RTLD_NODELETE)
  } catch (error) {
    // It is loaded and no addon: what follows says whether that was enough.
    if (systemCode(error) !== 'ERR_DLOPEN_FAILED') throw error
  }
}

function missing(how: string, cause: unknown): FuseError {
  return new FuseError(
    'FUSE_MODULE_MISSING',
    `the optional package fuse-native ${how}: install it with "npm install fuse-native@2.2.6", ` +
      'or use the kernel transport',
    { cause },
  )
}
