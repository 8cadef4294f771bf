/**
 * A boot that proves an accelerator: no guest image, 64 KiB of firmware of our own, three seconds at most with KVM.
 *
 * It is not enough that a virtual CPU runs a few instructions. Where KVM is nested on a host without hardware
 * support it opens, and executes every instruction by emulation in the kernel: measured, one million loop turns
 * took 2.1 s instead of 1 ms, so that a kernel seems to hang. So the firmware goes to 64-bit mode with paging and
 * counts to 16 million, which takes 30 to 100 ms on TCG or real KVM, then writes a known byte to the port of
 * `isa-debug-exit`, which ends QEMU with status (byte << 1) | 1.
 *
 *   offset  64 KiB image, mapped at F0000 and again below 4 GiB
 *   0000    code and descriptor table below
 *   ....    zeros
 *   FFF0    jmp F000:0000, the reset vector
 *
 *   guest memory   1000 page map level 4, 2000 pointers, 3000 directory (one 2 MiB page), 5000 the counter
 */
import type { AcceleratorProof } from '../driver.ts'
import { within } from '../deadline.ts'
import { isDriverError, messageOf } from '../errors.ts'
import type { Host } from '../host.ts'
import { limits } from '../limits.ts'
import type { Accelerator } from '../spec.ts'

const exitByte = 0x29
const exitStatus = (exitByte << 1) | 1
const firmwareBytes = 64 * 1024
const resetVectorOffset = 0xfff0

const tooSlow = (timeoutMs: number): string =>
  `A guest did not count to 16 million in ${timeoutMs} ms: it hangs, or every instruction is emulated.`

const code = [
  'fa 31c0 8ed8 8ec0', //             cli; ax, ds, es = 0
  'bf0010 6631c0 b9000c fc 66f3ab', // zero 12 KiB at 1000
  'c70600100320', //                  [1000] = 2003: present, writable
  'c70600200330', //                  [2000] = 3003
  'c70600308300', //                  [3000] = 0083: 2 MiB page at 0
  '2e660f01169800', //                lgdtl cs:[gdtr]
  '66b820000000 0f22e0', //           cr4 = PAE
  '66b800100000 0f22d8', //           cr3 = 1000
  '66b9800000c0 0f32 0d0001 0f30', // EFER |= LME
  '66b801000080 0f22c0', //           cr0 = PG | PE
  '66ea5d000f000800', //              ljmpl 8:F005D
  'b900000001', //              5d:   ecx = 1000000h, 16 million
  '48ff042500500000', //        62:   inc qword [5000]
  'e2f6', //                          loop 62
  '488b042500500000', //              rax = [5000]
  '483d00000001', //                  cmp rax, 1000000h
  '7504', //                          jne 80
  'b029 e6f4', //                     al = 29h; out F4, al
  'f4 ebfd', //                 80:   hlt; jmp 80
  '0f1f440000', //                    padding to 88
  '0000000000000000', //        88:   gdt: null,
  'ffff0000009baf00', //              64-bit code
  '0f00 88000f00', //           98:   gdtr: limit 15, base F0088
]

/** The firmware that proves a CPU: 64 KiB. */
export function proofFirmware(): Buffer {
  const image = Buffer.alloc(firmwareBytes)
  Buffer.from(code.join('').replaceAll(' ', ''), 'hex').copy(image)
  Buffer.from('ea000000f0', 'hex').copy(image, resetVectorOffset)
  return image
}

/** Runs the proof. Never throws for an accelerator that does not work: the reason is in the result. */
export async function prove(
  host: Host,
  binary: string,
  accelerator: Accelerator,
  firmwarePath: string,
): Promise<AcceleratorProof> {
  const startMs = host.nowMs()
  const timeoutMs = accelerator === 'tcg' ? limits.tcgProofTimeoutMs : limits.proofTimeoutMs
  const result = (proven: boolean, reason: string): AcceleratorProof => ({
    proven,
    tookMs: Math.round(host.nowMs() - startMs),
    reason,
  })
  const argv = [
    ...`-machine q35 -accel ${accelerator} -m 4 -no-user-config -nodefaults -display none`.split(' '),
    ...['-device', 'isa-debug-exit,iobase=0xf4,iosize=1', '-bios', firmwarePath],
  ]
  try {
    const child = await host.spawn({ binary, argv, directory: '/', logPath: null, channelsCount: 0 })
    try {
      const exit = await within(child.exited, timeoutMs, 'The boot')
      if (exit.exitCode === exitStatus) return result(true, 'A guest ran.')
      return result(
        false,
        `The hypervisor ended with status ${exit.exitCode ?? exit.signal} in place of ${exitStatus}.`,
      )
    } finally {
      child.kill('SIGKILL')
      await child.exited
    }
  } catch (error) {
    if (isDriverError(error, 'TIMEOUT')) return result(false, tooSlow(timeoutMs))
    return result(false, messageOf(error))
  }
}
