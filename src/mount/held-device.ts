/** A FUSE device that this process holds open, and with it the mount that is made on it. */
export { lookUpControl } from '../../fuse/index.ts'
export type { ProgramEnd } from '../../fuse/index.ts'
import { join } from 'node:path'
import { closeDevice, FuseError, openDevice, runProgram } from '../../fuse/index.ts'
import type { RunProgram } from '../../fuse/index.ts'
import { lookUp } from '../env/async-file.ts'
import { fromFuse } from './mount-errors.ts'

/** As the transport's own, with errors in our codes. */
export const runMountProgram: RunProgram = async (program, parameters, descriptors) => {
  try {
    return await runProgram(program, parameters, descriptors)
  } catch (error) {
    throw error instanceof FuseError ? fromFuse(error) : error
  }
}

export class HeldDevice {
  readonly descriptor: number
  #isClosed = false

  /** Takes over an inherited descriptor, or opens a device. Errors: FUSE_DEVICE_MISSING, FUSE_NO_PERMISSION. */
  constructor(descriptor = openDevice()) {
    this.descriptor = descriptor
  }

  /** Idempotent. When nobody else holds the device its mount answers ENOTCONN. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    closeDevice(this.descriptor)
  }
}

/** Makes the kernel know files of a mount by looking them up; the process that serves it had better not. Errors: IO. */
export async function lookUpFiles(directory: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) await lookUp(join(directory, path))
}
