/** The transports by name; the code of one that is not used is not loaded. */
import type { Transport, TransportName } from './transport.ts'

export async function transportNamed(name: TransportName): Promise<Transport> {
  if (name === 'kernel') return (await import('./kernel-transport.ts')).kernelTransport
  return (await import('./native-transport.ts')).nativeTransport
}
