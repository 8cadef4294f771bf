import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

let measuredKhz: number | undefined

/**
 * The rate of this host's time stamp counter, which is the guest's under TCG; measured once in a process.
 *
 * A microvm has no other clock to measure it by than the PIT, and the kernel's measurement fails when the host
 * is busy; then its boot hangs, since the PIT has no interrupt in ACPI there. So the kernel is told.
 */
export function tscKhz(): number {
  measuredKhz ??= Number(execFileSync('python3', [join(import.meta.dirname, 'tsc.py')], { encoding: 'utf8' }))
  return measuredKhz
}
