/** QEMU's events in the words of the driver contract. Source: the QAPI schemas of QEMU 7.2. */
import type { MachineEvent, RunState } from '../driver.ts'
import { textOf } from './json.ts'
import type { JsonObject } from './json.ts'
import { eventsLost } from './qmp.ts'
import type { QmpEvent } from './qmp.ts'

type Telling = (data: JsonObject, state: RunState) => MachineEvent

const tellings = new Map<string, Telling>(
  Object.entries({
    STOP: (_data, state) => ({ kind: 'stop', state }),
    RESUME: (_data, state) => ({ kind: 'resume', state }),
    RESET: (data) => ({ kind: 'reset', byGuest: data['guest'] === true, reason: textOf(data['reason']) }),
    SHUTDOWN: (data) => ({ kind: 'shutdown', byGuest: data['guest'] === true, reason: textOf(data['reason']) }),
    GUEST_PANICKED: (data) => ({ kind: 'panic', action: textOf(data['action']) }),
    BLOCK_IO_ERROR: (data) => ({
      kind: 'ioError',
      device: textOf(data['device']) || textOf(data['node-name']),
      action: textOf(data['action']),
      reason: textOf(data['reason']),
    }),
    NETDEV_STREAM_DISCONNECTED: (data) => ({ kind: 'nicDisconnected', port: textOf(data['netdev-id']) }),
    DEVICE_DELETED: (data) => ({ kind: 'deviceChanged', device: textOf(data['device']) || textOf(data['path']) }),
    MEMORY_DEVICE_SIZE_CHANGE: (data) => ({ kind: 'deviceChanged', device: textOf(data['qom-path']) }),
    [eventsLost]: (data) => ({ kind: 'lost', lost: Number(data['lost']) }),
  } satisfies Record<string, Telling>),
)

/** Null for events that say nothing about the machine, such as the clock being set. */
export function machineEvent(event: QmpEvent, state: RunState): MachineEvent | null {
  return tellings.get(event.name)?.(event.data, state) ?? null
}
