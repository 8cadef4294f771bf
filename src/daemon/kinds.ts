/**
 * Kinds of argument values. Each kind reads a word of the command line (`parse`) and checks a value that
 * came as JSON (`check`); both give the same value, which is plain JSON. Errors: USAGE and BAD_NAME, and
 * their messages say what would have been right.
 */
import { Buffer } from 'node:buffer'
import { isAbsolute, resolve } from 'node:path'
import { HoldfastError } from '../errors.ts'
import { imageNameBytesMax, noteBytesMax } from '../limits.ts'
import { pathBytesMax, textBytesMax, thinningBytesMax } from './limits.ts'

export interface Kind<T> {
  /** How help names a value of this kind. */
  readonly label: string
  parse(word: string): T
  check(value: unknown): T
}

/** An image's name: one file name, with nothing in it that an address uses. */
export const imageName: Kind<string> = textKind('IMAGE', checkName)

/** A name for an image that is to be made. */
export const newImageName: Kind<string> = { ...imageName, label: 'NEW' }

/** A replica's name: part of a file's. */
export const replicaName: Kind<string> = textKind('NAME', (text) => {
  if (/^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/.test(text)) return text
  const message = `"${printable(text)}" cannot be a replica's name: use up to 64 letters, digits and . _ -`
  throw new HoldfastError('BAD_NAME', message)
})

export const replicaUrl: Kind<string> = textKind('URL', (value) => {
  checkBytes(value, pathBytesMax)
  if (isReplicaUrl(value)) return value
  throw usage(`"${printable(value)}" is no replica: it begins with file://, webhdfs:// or swebhdfs://`)
})

/** A sealed epoch, `IMAGE@N`. */
export const epochAddress: Kind<string> = textKind('IMAGE@N', (text) => {
  const { image, number } = splitAddress(text)
  if (number === null) throw usage(`"${text}" names no epoch: write IMAGE@N, such as ${image}@0`)
  return `${image}@${number}`
})

/** An image, or one of its epochs: `IMAGE` or `IMAGE@N`. */
export const target: Kind<string> = textKind('IMAGE[@N]', (text) => {
  const { image, number } = splitAddress(text)
  return number === null ? image : `${image}@${number}`
})

/** A file of an epoch: `IMAGE@N:/path`. */
export const fileAddress: Kind<string> = textKind('IMAGE@N:/path', (text) => {
  const { epoch, path } = splitFileAddress(text)
  return `${epoch}:${path}`
})

/** A path of this machine; a word is taken from the current directory, a JSON value must be absolute. */
export const hostPath: Kind<string> = pathKind('PATH')
export const hostDirectory: Kind<string> = pathKind('DIR')

/** A path of this machine, or '-' for standard output (which only the command line knows). */
export const outputPath: Kind<string> = {
  label: 'FILE',
  parse: (word) => (word === '-' ? word : hostPath.parse(word)),
  check: (value) => (value === '-' ? value : hostPath.check(value)),
}

/** Where lost chunks and records may be found: a path of this machine, or the URL of a replica. */
export const repairSource: Kind<string> = {
  label: 'PATH|URL',
  parse: (word) => (isReplicaUrl(word) ? replicaUrl : hostPath).parse(word),
  check: (value) => (typeof value === 'string' && isReplicaUrl(value) ? replicaUrl : hostPath).check(value),
}

/** A path inside an image: absolute, without '..'. */
export const imagePath: Kind<string> = textKind('/PATH', (text) => {
  checkImagePath(text)
  return text
})

export const text: Kind<string> = textKind('TEXT', (value) => checkBytes(value, textBytesMax))
export const note: Kind<string> = textKind('TEXT', (value) => checkBytes(value, noteBytesMax))

export function choice<const T extends string>(...choices: readonly T[]): Kind<T> {
  const label = choices.join('|')
  const check = (value: unknown): T => {
    const found = choices.find((each) => each === value)
    if (found === undefined) throw usage(`"${String(value)}" is not one of ${choices.join(', ')}`)
    return found
  }
  return { label, parse: check, check }
}

/** A whole number from `least` to `most`. */
export function count(least: number, most: number, label = 'N'): Kind<number> {
  return numberKind(label, least, most, (word) => (/^\d{1,15}$/.test(word) ? Number(word) : NaN), 'a whole number')
}

/** Bytes: `512M`, `2G`, `65536`; K, M, G, T are powers of 1024. */
export function size(least: number, most: number): Kind<number> {
  return numberKind('SIZE', least, most, parseSize, 'a size such as 512M')
}

/** Milliseconds: `500ms`, `5s`, `2m`, `2h`, `1d`. */
export function duration(leastMs: number, mostMs: number): Kind<number> {
  return numberKind('TIME', leastMs, mostMs, parseDuration, 'a time such as 5s')
}

/** A period in milliseconds, or 0 (`off`, `0`) for none. */
export function period(leastMs: number, mostMs: number): Kind<number> {
  const some = duration(leastMs, mostMs)
  return {
    label: 'TIME|off',
    parse: (word) => (word === 'off' || word === '0' ? 0 : some.parse(word)),
    check: (value) => (value === 0 ? 0 : some.check(value)),
  }
}

/** A share that may be none: `10%` is 0.1. */
export const shareOrNone: Kind<number> = {
  label: 'N%',
  parse: (word) => (/^0(\.0{1,6})?%?$/.test(word) ? 0 : percentage.parse(word)),
  check: (value) => (value === 0 ? 0 : percentage.check(value)),
}

/** `default`, or steps such as `5s/1m,1m/1h,1h/1d,1d`: how often up to which age; the last may go without an age. */
export const thinning: Kind<string> = textKind('STEPS|default', (text) => {
  if (text !== 'default') thinningSteps(text)
  return text
})

/** Errors: USAGE. */
export function thinningSteps(text: string): { everyMs: number; ageMs: number }[] {
  const words = text.split(',').map((word) => word.split('/'))
  const steps = words.map(([every, age]) => ({
    everyMs: parseDuration(every), ageMs: age === undefined ? Infinity : parseDuration(age),
  }))
  const isRising = steps.every((step, at) => step.everyMs > 0 && step.ageMs > step.everyMs &&
    (at === 0 || (step.everyMs > steps[at - 1].everyMs && step.ageMs > steps[at - 1].ageMs)))
  if (words.every(({ length }) => length <= 2) && isRising && text.length <= thinningBytesMax) return steps
  throw usage(`"${printable(text)}" is no thinning: write EVERY/AGE,... rising, such as 5s/1m,1m/1h,1h/1d,1d/30d,7d`)
}

/** A share: `10%` or `10` is 0.1. */
export const percentage: Kind<number> = {
  label: 'N%',
  parse: (word) => checkShare(/^\d{1,3}(\.\d{1,6})?%?$/.test(word) ? Number(word.replace('%', '')) / 100 : NaN, word),
  check: (value) => checkShare(value, String(value)),
}

/** Parts of an address; `number` is null when only an image is named. */
export function splitAddress(address: string): { image: string; number: number | null } {
  const at = address.lastIndexOf('@')
  if (at < 0) return { image: checkName(address), number: null }
  const digits = address.slice(at + 1)
  if (!/^(0|[1-9]\d{0,14})$/.test(digits)) throw usage(`"${address}" is no epoch: write IMAGE@N with a number N`)
  return { image: checkName(address.slice(0, at)), number: Number(digits) }
}

export function splitFileAddress(address: string): { epoch: string; path: string } {
  const colon = address.indexOf(':')
  if (colon < 0) throw usage(`"${address}" names no file: write IMAGE@N:/path`)
  const path = address.slice(colon + 1)
  checkImagePath(path)
  return { epoch: epochAddress.check(address.slice(0, colon)), path }
}

export function usage(message: string): HoldfastError {
  return new HoldfastError('USAGE', message)
}

function checkName(name: string): string {
  const fault = faultOfName(name)
  if (fault !== null) throw new HoldfastError('BAD_NAME', `"${printable(name)}" cannot be a name: ${fault}`)
  return name
}

function faultOfName(name: string): string | null {
  if (name === '') return 'it is empty'
  if (name.startsWith('.')) return 'it begins with "."'
  if (name.startsWith('-')) return 'it begins with "-"'
  if (/[/@:]/.test(name)) return '"/", "@" and ":" have a meaning in addresses'
  if (hasControls(name)) return 'it has a control character'
  if (!name.isWellFormed()) return 'it is not Unicode text'
  if (Buffer.byteLength(name) > imageNameBytesMax) return `it is longer than ${imageNameBytesMax} bytes`
  return null
}

function checkImagePath(path: string): void {
  checkBytes(path, pathBytesMax)
  if (!path.startsWith('/')) throw usage(`"${printable(path)}" is no path in an image: it begins with "/"`)
  if (path.split('/').includes('..')) throw usage(`"${printable(path)}" has ".." in it`)
}

function pathKind(label: string): Kind<string> {
  const checkPath = (path: string): string => {
    checkBytes(path, pathBytesMax)
    if (path === '') throw usage('a path is empty')
    if (!isAbsolute(path)) throw usage(`"${path}" is not an absolute path`)
    return path
  }
  return {
    label,
    parse: (word) => checkPath(word === '' ? word : resolve(word)),
    check: (value) => checkPath(checkString(value)),
  }
}

/** Tells a replica from a path. */
export function isReplicaUrl(text: string): boolean {
  return /^(file|webhdfs|swebhdfs):\/\//.test(text)
}

function textKind(label: string, check: (text: string) => string): Kind<string> {
  return { label, parse: check, check: (value) => check(checkString(value)) }
}

function numberKind(
  label: string, least: number, most: number, parse: (word: string) => number, wanted: string,
): Kind<number> {
  const check = (value: unknown, said: string): number => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw usage(`"${printable(said)}" is not ${wanted}`)
    if (value < least || value > most) throw usage(`"${said}" is out of range: ${least} to ${most}`)
    return value
  }
  return { label, parse: (word) => check(parse(word), word), check: (value) => check(value, String(value)) }
}

function parseSize(word: string): number {
  const match = /^(\d{1,15})([KMGT]?)(?:i?B)?$/i.exec(word)
  if (match === null) return NaN
  return Number(match[1]) * 1024 ** ' KMGT'.indexOf(match[2].toUpperCase() || ' ')
}

const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

function parseDuration(word: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/.exec(word)
  return match === null ? NaN : Math.round(Number(match[1]) * unitMs[match[2]])
}

function checkShare(value: unknown, said: string): number {
  if (typeof value === 'number' && value > 0 && value <= 1) return value
  throw usage(`"${printable(said)}" is not a share such as 10%`)
}

function checkString(value: unknown): string {
  if (typeof value !== 'string') throw usage(`a text is wanted, not ${value === null ? 'null' : typeof value}`)
  return value
}

function checkBytes(value: string, bytesMax: number): string {
  if (value.includes('\0')) throw usage('a NUL character cannot be part of an argument')
  if (!value.isWellFormed()) throw usage('an argument is not Unicode text')
  if (Buffer.byteLength(value) > bytesMax) throw usage(`an argument is longer than ${bytesMax} bytes`)
  return value
}

/** Messages are one line: what could break it is shown as an escape. */
function printable(value: string): string {
  return JSON.stringify(value.slice(0, 200)).slice(1, -1)
}

function hasControls(value: string): boolean {
  return /\p{Cc}/u.test(value)
}
