/**
 * A verb's parameters as data. The name of a parameter is its field in the JSON arguments, and in
 * kebab-case its option on the command line (`readData` is `--read-data`).
 */
import { repeatedValuesMax } from './limits.ts'
import { usage, type Kind } from './kinds.ts'

/** `hidden` ones are no part of a command line: whoever calls fills them in. */
export type Place = 'positional' | 'option' | 'flag' | 'rest' | 'hidden'

export interface Parameter<T> {
  readonly place: Place
  readonly help: string
  readonly kind: Kind<unknown>
  readonly required: boolean
  readonly repeated: boolean
  /** What help prints as the value that is taken when none is given. */
  readonly shownDefault: string | null
  /** Checks a value that came as JSON, `undefined` when it was not given. */
  check(value: unknown): T
}

export type Parameters = Readonly<Record<string, Parameter<unknown>>>
/** The checked arguments of a verb with these parameters. */
export type Values<P extends Parameters> = { -readonly [K in keyof P]: P[K] extends Parameter<infer T> ? T : never }

const flagKind: Kind<boolean> = {
  label: '',
  parse: () => true,
  check(value) {
    if (typeof value !== 'boolean') throw usage('true or false is wanted')
    return value
  },
}

export function positional<T>(kind: Kind<T>, help: string): Parameter<T> {
  return {
    ...described('positional', kind, help), required: true,
    check(value) {
      if (value === undefined) throw usage(`${kind.label} is missing`)
      return kind.check(value)
    },
  }
}

export function optionalPositional<T>(kind: Kind<T>, help: string): Parameter<T | undefined> {
  return { ...described('positional', kind, help), check: (value) => optionalValue(kind, value) }
}

export function option<T>(kind: Kind<T>, help: string): Parameter<T | undefined> {
  return { ...described('option', kind, help), check: (value) => optionalValue(kind, value) }
}

/** `shown` is the default as a person would write it. */
export function optionWithDefault<T>(kind: Kind<T>, shown: string, help: string): Parameter<T> {
  const fallback = kind.parse(shown)
  return {
    ...described('option', kind, help), shownDefault: shown,
    check: (value) => (value === undefined ? fallback : kind.check(value)),
  }
}

export function repeatedOption<T>(kind: Kind<T>, help: string): Parameter<T[]> {
  return { ...described('option', kind, help), repeated: true, check: (value) => listOf(kind, value) }
}

export function flag(help: string): Parameter<boolean> {
  return {
    ...described('flag', flagKind, help),
    check: (value) => (value === undefined ? false : flagKind.check(value)),
  }
}

export function hidden<T>(kind: Kind<T>, help: string): Parameter<T | undefined> {
  return { ...described('hidden', kind, help), check: (value) => optionalValue(kind, value) }
}

/** All words behind `--`. */
export function rest<T>(kind: Kind<T>, help: string): Parameter<T[]> {
  return { ...described('rest', kind, help), repeated: true, check: (value) => listOf(kind, value) }
}

/** Checks JSON arguments against parameters: each value, and that nothing else was given (USAGE, BAD_NAME). */
export function checkArguments(parameters: Parameters, given: unknown): Record<string, unknown> {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw usage('arguments are an object')
  const fields = new Map<string, unknown>(Object.entries(given))
  const checked: Record<string, unknown> = {}
  for (const [name, parameter] of Object.entries(parameters)) {
    checked[name] = parameter.check(fields.get(name))
    fields.delete(name)
  }
  const [unknownName] = fields.keys()
  if (unknownName !== undefined) throw usage(`there is no parameter ${JSON.stringify(unknownName.slice(0, 100))}`)
  return checked
}

function described<T>(place: Place, kind: Kind<T>, help: string): Omit<Parameter<never>, 'check'> {
  return { place, kind, help, required: false, repeated: false, shownDefault: null }
}

function optionalValue<T>(kind: Kind<T>, value: unknown): T | undefined {
  return value === undefined ? undefined : kind.check(value)
}

function listOf<T>(kind: Kind<T>, value: unknown): T[] {
  if (value === undefined) return []
  if (!Array.isArray(value)) throw usage('a list is wanted')
  if (value.length > repeatedValuesMax) throw usage(`a list has more than ${repeatedValuesMax} values`)
  return value.map((each: unknown) => kind.check(each))
}
