/**
 * Layouts of C structures. Each field starts where the one before it ends, so that no offset is
 * written by hand; that the kernel's structures have no holes is checked on the way.
 */
export type Scalar = 'u16' | 'u32' | 'i32' | 'u64' | 'i64'

/** A scalar, a structure inside the structure, or a number of reserved bytes. */
export type FieldShape = Scalar | Layout<string> | number

export interface Field {
  readonly name: string
  readonly shape: FieldShape
  readonly at: number
  readonly bytes: number
}

export interface Layout<Name extends string> {
  readonly name: string
  readonly bytes: number
  /** Offset in bytes of each field from the start of the structure. */
  readonly at: Readonly<Record<Name, number>>
  readonly fields: readonly Field[]
}

const scalarBytes: Readonly<Record<Scalar, number>> = { u16: 2, u32: 4, i32: 4, u64: 8, i64: 8 }

/** The layout of the C structure `name`; `shapes` are its fields in order. */
export function layout<Name extends string>(
  name: string,
  shapes: Readonly<Record<Name, FieldShape>>,
): Layout<Name> {
  const fields: Field[] = []
  const at: Record<string, number> = {}
  let next = 0
  for (const [field, shape] of Object.entries<FieldShape>(shapes)) {
    const bytes = shapeBytes(shape)
    if (next % alignment(shape) !== 0) throw new RangeError(`${name}.${field} is not aligned`)
    fields.push({ name: field, shape, at: next, bytes })
    at[field] = next
    next += bytes
  }
  return Object.freeze({ name, bytes: next, at: Object.freeze(at), fields })
}

function shapeBytes(shape: FieldShape): number {
  if (typeof shape === 'number') return shape
  return typeof shape === 'string' ? scalarBytes[shape] : shape.bytes
}

function alignment(shape: FieldShape): number {
  if (typeof shape === 'string') return scalarBytes[shape]
  return typeof shape === 'number' ? 1 : 8
}
