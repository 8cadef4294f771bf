/** Help texts, made from the table of verbs. */
import type { Parameter } from '../daemon/parameters.ts'
import { isVerbName, verbNamed, verbNames, type VerbName } from '../daemon/verbs.ts'
import { optionName } from './arguments.ts'
import { columns } from './text/table.ts'

const commonHelp = [
  ['--store DIR', 'the store; without it the environment’s HOLDFAST_STORE'],
  ['--key-file FILE', 'opens an encrypted store; without it HOLDFAST_KEY_FILE, else a passphrase:'],
  ['', 'HOLDFAST_PASSPHRASE_FILE, HOLDFAST_PASSPHRASE, or the terminal'],
  ['--json', 'one JSON document on standard output, errors as {"error":{...}}'],
  ['--progress', 'with --json: lines {"progress":{...}} before the document'],
  ['--quiet', 'no progress and no remarks'],
  ['--help, --version', 'this, and the version'],
]

const exitHelp = '0 done, 1 failed, 2 usage, 3 not found, 4 locked or fenced, 5 damaged data found,\n'
  + '  6 incomplete (some replicas failed, or gc left packs), 130 interrupted'

/** Help on one verb, on a family of verbs (`vm`), or on all. */
export function helpOn(topic: readonly string[]): string {
  const name = topic.join(' ')
  if (isVerbName(name)) return verbHelp(name)
  const family = verbNames.filter((each) => name === '' || each.startsWith(`${name} `))
  const lines = family.map((each) => [`  ${synopsis(each)}`, verbNamed(each).help])
  return `usage: holdfast [--store DIR] [--json] COMMAND ...\n\n${wrapped(lines)}\n\nevery command takes\n`
    + `${columns(commonHelp.map(([left, right]) => [`  ${left}`, right]))}\n\nexit codes\n  ${exitHelp}\n`
}

/** `create IMAGE [--base PATH]...` */
export function synopsis(name: VerbName): string {
  const words = parametersOf(name).map(([field, parameter]) => parameterSynopsis(field, parameter))
  return [name, ...words].join(' ')
}

function verbHelp(name: VerbName): string {
  const lines = parametersOf(name).map(([field, parameter]) =>
    [`  ${shortForm(field, parameter)}`, describe(parameter)])
  const parts = [`usage: holdfast ${synopsis(name)}`, verbNamed(name).help, columns(lines)]
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`
}

/** Synopses are long: each stands on a line of its own, what it does below. */
function wrapped(lines: string[][]): string {
  return lines.map(([left, right]) => `${left}\n      ${right}`).join('\n')
}

function parametersOf(name: VerbName): [string, Parameter<unknown>][] {
  return Object.entries(verbNamed(name).parameters).filter(([, { place }]) => place !== 'hidden')
}

function parameterSynopsis(field: string, parameter: Parameter<unknown>): string {
  const short = shortForm(field, parameter)
  if (parameter.required) return short
  return parameter.repeated && parameter.place === 'option' ? `[${short}]...` : `[${short}]`
}

function shortForm(field: string, parameter: Parameter<unknown>): string {
  switch (parameter.place) {
    case 'positional': return parameter.kind.label
    case 'option': return `--${optionName(field)} ${parameter.kind.label}`
    case 'flag': return `--${optionName(field)}`
    case 'rest': return '-- ARGUMENT...'
    case 'hidden': return ''
  }
}

function describe(parameter: Parameter<unknown>): string {
  return parameter.shownDefault === null ? parameter.help : `${parameter.help} (${parameter.shownDefault})`
}
