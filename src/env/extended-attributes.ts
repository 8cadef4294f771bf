/** The extended attributes of open files and directories, which Node cannot read. */
import { Buffer } from 'node:buffer'
import { getAttrSync, listAttrsSync } from 'fs-native-extensions'
import { HoldfastError, isCode, wrapIo } from '../errors.ts'
import type { EnvFile } from './env.ts'

export interface ExtendedAttribute {
  name: Buffer
  value: Buffer
}

/** Those that this process may see, none where the file system has none. Errors: IO. */
export function extendedAttributes(file: EnvFile): ExtendedAttribute[] {
  try {
    return listAttrsSync(file.fd).map((name) => ({ name: Buffer.from(name), value: valueOf(file, name) }))
  } catch (error) {
    if (isCode(error, 'ENOTSUP', 'EOPNOTSUPP')) return []
    throw error instanceof HoldfastError ? error : wrapIo(error, `reading the attributes of ${file.path}`)
  }
}

/** A name that is no UTF-8 comes with other bytes than its own, and then there is no such attribute. */
function valueOf(file: EnvFile, name: string): Buffer {
  const value = getAttrSync(file.fd, name)
  if (value === null) throw new HoldfastError('IO', `the attribute ${name} of ${file.path} cannot be read by that name`)
  return Buffer.from(value)
}
