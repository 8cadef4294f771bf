import { within } from '../deadline.ts'
import type { NetPort } from '../driver.ts'
import { isDriverError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Attachment } from '../spec.ts'
import type { Control } from './control.ts'
import { attachmentNode, cable, farPortNode } from './devices.ts'

/** One virtio card whose cable can be plugged again while the guest runs: the far ends of a hub are replaced. */
export class QemuPort implements NetPort {
  readonly id = cable.card
  readonly mac: string
  readonly #control: Control
  #attachment: Attachment | null
  #linked: boolean

  constructor(control: Control, mac: string, attachment: Attachment | null) {
    this.#control = control
    this.mac = mac
    this.#attachment = attachment
    this.#linked = attachment !== null
  }

  get attachment(): Attachment | null {
    return this.#attachment
  }

  /** Measured for `stream`: after `stop` returned nothing arrived late. User mode has buffers of its own. */
  get exactOutputBoundary(): boolean {
    return this.#attachment === null || this.#attachment.kind === 'stream'
  }

  async plug(attachment: Attachment): Promise<void> {
    await this.#remove()
    using connected = this.#control.event(
      ({ name, data }) => name === 'NETDEV_STREAM_CONNECTED' && data['netdev-id'] === cable.far,
    )
    await this.#control.execute('netdev_add', attachmentNode(attachment))
    await this.#control.execute('netdev_add', farPortNode())
    this.#attachment = attachment
    // Until then QEMU drops what the guest sends.
    if (attachment.kind === 'stream')
      await within(connected, limits.plugTimeoutMs, `Connecting to ${attachment.path}`)
    // A cable that is only plugged again keeps its link: the guest need not notice.
    if (!this.#linked) await this.setLink(true)
  }

  async unplug(): Promise<void> {
    await this.setLink(false)
    await this.#remove()
    this.#attachment = null
  }

  /** What the guest sees of the cable. Without it frames would queue in the card until something is plugged in. */
  async setLink(up: boolean): Promise<void> {
    await this.#control.execute('set_link', { name: cable.card, up })
    this.#linked = up
  }

  async #remove(): Promise<void> {
    for (const id of [cable.farPort, cable.far]) {
      try {
        await this.#control.execute('netdev_del', { id })
      } catch (error) {
        // A half-made plug, or an end that never was: there is nothing to take away.
        if (!isDriverError(error, 'COMMAND_FAILED')) throw error
      }
    }
  }
}
