/** What a verb says of a chunk that is nowhere. */
import { HoldfastError, isCode } from '../errors.ts'

/** Within a store that a chunk is not there is an answer; to its user it is damage, as what he named is there. */
export async function tellingOfDamage<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    const isLost = error instanceof HoldfastError && isCode(error, 'NOT_FOUND') && typeof error.info.id === 'string'
    if (!isLost) throw error
    const message = `${error.message}: 'holdfast check --repair' looks for it in other places`
    throw new HoldfastError('DAMAGED', message, { cause: error, info: error.info })
  }
}
