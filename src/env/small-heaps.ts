/** For processes that live beside guests, which need the memory. */
import { setFlagsFromString } from 'node:v8'
import { heapGrowthPercent } from '../limits.ts'

/** The heaps of this process and of all its threads are collected whenever they grew by so much. */
export function keepHeapsSmall(): void {
  setFlagsFromString(`--heap-growing-percent=${heapGrowthPercent}`)
}
