/** What a machine is to be, in words that no hypervisor owns. All of it is plain JSON and is kept in the epoch. */

/**
 * A file of the machine. A relative path lies in the image: it is resolved against `Binding.root`, which
 * changes with every incarnation. An absolute path is a file of this host, which no epoch carries.
 */
export type MachineFile = string

export type AcceleratorChoice = 'auto' | Accelerator
export type Accelerator = 'kvm' | 'tcg'

export interface DiskSpec {
  readonly path: MachineFile
  readonly format: 'raw'
  readonly interface: 'virtio'
  readonly readOnly: boolean
  /** What the guest sees as the disk's serial number: up to 20 letters, digits, `-` and `_`. */
  readonly serial: string
}

export interface HostForward {
  readonly protocol: 'tcp' | 'udp'
  readonly hostAddress: string
  readonly hostPort: number
  readonly guestPort: number
}

/** What the far end of the machine's network cable is plugged into. */
export type Attachment =
  /** The hypervisor's own user-mode network. */
  | { readonly kind: 'user'; readonly hostForward: readonly HostForward[] }
  /** A switch's unix socket, which the hypervisor connects to: 32-bit big-endian length, then the frame. */
  | { readonly kind: 'stream'; readonly path: string }

export interface NetworkSpec {
  readonly mac: string
  /** Where the cable goes unless the binding says otherwise; null is unplugged. */
  readonly attachment: Attachment | null
}

export interface MachineSpec {
  readonly name: string
  readonly memoryBytes: number
  /** The file that is the guest's memory. The caller makes it, exactly `memoryBytes` long. */
  readonly memoryFile: MachineFile
  readonly cpus: number
  readonly accelerator: AcceleratorChoice
  /** `q35` and the like become a versioned type where the hypervisor has one. */
  readonly machineType: string
  /** Null is the best the accelerator has. */
  readonly cpuModel: string | null
  readonly disks: readonly DiskSpec[]
  readonly kernel: {
    readonly image: MachineFile
    readonly initrd: MachineFile | null
    readonly append: string
  } | null
  /** A firmware image in place of the hypervisor's own. */
  readonly firmware: MachineFile | null
  readonly network: NetworkSpec | null
  /** A device that tells the guest that it was copied, where the machine type has room for one. */
  readonly generationId: boolean
  /** A channel for the QEMU guest agent. */
  readonly guestAgent: boolean
  /** Arguments of the user's own, checked by `plan` for what a checkpoint cannot carry. */
  readonly extraArguments: readonly string[]
}

/** A spec with everything but its name, memory and type left at its default. */
export function machineSpec(
  options: Pick<MachineSpec, 'name' | 'memoryBytes' | 'memoryFile'> & Partial<MachineSpec>,
): MachineSpec {
  return Object.freeze({
    cpus: 1,
    accelerator: 'auto',
    machineType: 'q35',
    cpuModel: null,
    disks: [],
    kernel: null,
    firmware: null,
    network: null,
    generationId: true,
    guestAgent: false,
    extraArguments: [],
    ...options,
  })
}
