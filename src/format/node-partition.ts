/**
 * How an inner node's 128 slots are shared out among its children. A run of slots is halved until what lies
 * in it weighs no more than a leaf may; a single slot that still weighs more is an inner node of its own.
 * So neighbours with little in them share a leaf, and the shares depend on the contents alone.
 */
import { assert } from '../errors.ts'
import { nodeFanOut, nodeWeightMax } from '../limits.ts'

/** Stands for the weight of whatever is too heavy for one leaf. */
export const heavyWeight = nodeWeightMax + 1

/** The items `from` to `to` (exclusive) lie in `span` slots from `start` and become one child. */
export interface Share {
  start: number
  span: number
  from: number
  to: number
}

/** `slots` rise, `weights` are 1 to heavyWeight, both of one length; the shares come in their order. */
export function partition(slots: readonly number[], weights: readonly number[]): Share[] {
  assert(slots.length === weights.length, 'each slot has its weight')
  const shares: Share[] = []
  halve(0, nodeFanOut, 0, slots.length)
  return shares

  function halve(start: number, span: number, from: number, to: number): void {
    if (from === to) return
    if (span === 1 || isLight(from, to)) {
      shares.push({ start, span, from, to })
      return
    }
    const half = span / 2
    let middle = from
    while (middle < to && slots[middle] < start + half) middle += 1
    halve(start, half, from, middle)
    halve(start + half, half, middle, to)
  }

  function isLight(from: number, to: number): boolean {
    let weight = 0
    for (let index = from; index < to && weight <= nodeWeightMax; index += 1) weight += weights[index]
    return weight <= nodeWeightMax
  }
}
