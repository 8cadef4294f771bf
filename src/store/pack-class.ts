/**
 * Two kinds of packs grow side by side. *own* ones take what is put here. *copied* ones take records that were read
 * from a replica: they spare a second read, count as durable copies, and need not be uploaded to where they came from.
 */
export type PackClass = 'own' | 'copied'

export function classOf(isCopied: boolean): PackClass {
  return isCopied ? 'copied' : 'own'
}
