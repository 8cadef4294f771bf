/**
 * Numbers from 0 to below `count`, in the order of what ids begin with, and rising where that is the same. It is the
 * order of the index: who asks or fills it like this turns to each of its tables once. `prefix` gives 32 bits of an id.
 */
export function inOrderOfIds(count: number, prefix: (at: number) => number): Float64Array {
  const order = new Float64Array(count)
  // 31 of them leave enough of a number's 53 bits for all records that a pack can have.
  for (let at = 0; at < count; at++) order[at] = (prefix(at) >>> 1) * count + at
  order.sort()
  for (let at = 0; at < count; at++) order[at] %= count
  return order
}
