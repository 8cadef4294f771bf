/** The contract of a mount, run on each transport: what one of them cannot carry is asserted apart. */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { FuseError, kernelSupports, nativeSupports } from '../../fuse/index.ts'
import type { TransportSupports } from '../../fuse/index.ts'
import { loadBinding } from '../../fuse/native/binding.ts'
import type { TransportName } from '../../src/mount/transport.ts'

export interface TransportUnderTest {
  readonly name: TransportName
  readonly supports: TransportSupports
  /** Why it cannot run here, in words for the test's title. */
  readonly missing: string | null
}

export const transports: readonly TransportUnderTest[] = [
  { name: 'kernel', supports: kernelSupports, missing: null },
  { name: 'native', supports: nativeSupports, missing: missingBinding() },
]

type Body = (t: ExecutionContext, transport: TransportUnderTest) => Promise<void>

/**
 * One test for each transport that supports what it needs. `capabilities.test.ts` asserts that the others
 * do not.
 */
export function contract(title: string, needs: readonly (keyof TransportSupports)[], body: Body): void {
  for (const transport of transports) {
    if (needs.every((need) => transport.supports[need])) onTransport(transport, title, (t) => body(t, transport))
  }
}

export function onTransport(
  { name, missing }: TransportUnderTest, title: string, body: (t: ExecutionContext) => Promise<void>,
): void {
  const testIfPresent = missing === null ? test.serial : test.serial.skip
  testIfPresent(`${title} (${name}${missing === null ? '' : `: ${missing}`})`, body)
}

function missingBinding(): string | null {
  try {
    loadBinding()
    return null
  } catch (error) {
    if (error instanceof FuseError && error.code === 'FUSE_MODULE_MISSING') return 'the package fuse-native is missing'
    throw error
  }
}
