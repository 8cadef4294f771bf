/** A FUSE device that this process holds open, and with it the mount that is made on it. */
import { closeDevice, ControlFile, openDevice } from '../../fuse/index.ts'
import { wrapIo } from '../errors.ts'

export class HeldDevice {
  readonly descriptor: number
  #control: Promise<ControlFile> | null = null
  #isClosed = false

  /** Takes over an inherited descriptor, or opens a device. Errors: FUSE_DEVICE_MISSING, FUSE_NO_PERMISSION. */
  constructor(descriptor = openDevice()) {
    this.descriptor = descriptor
  }

  /** Holds the mount's control file open, so that its serving thread can be poked. Errors: IO. */
  async hold(directory: string, controlName: string): Promise<void> {
    this.#control ??= ControlFile.open(directory, controlName)
    try {
      await this.#control
    } catch (error) {
      this.#control = null
      throw wrapIo(error, `opening the control file of ${directory}`)
    }
  }

  /** Lets go of the mount, which would be busy otherwise. */
  async letGo(): Promise<void> {
    const control = this.#control
    this.#control = null
    await (await control)?.close()
  }

  /** Idempotent. When nobody else holds the device its mount answers ENOTCONN. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.letGo()
    closeDevice(this.descriptor)
  }
}
