/** A FUSE device that this process holds open, and with it the mount that is made on it. */
export { lookUpControl } from '../../fuse/index.ts'
import { closeDevice, openDevice } from '../../fuse/index.ts'

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
