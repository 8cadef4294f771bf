/** Reads a command line against the table of verbs. Nothing is done or opened here. */
import { usage } from '../daemon/kinds.ts'
import type { Parameter } from '../daemon/parameters.ts'
import { checkedArguments, isVerbName, verbNamed, verbNames, type VerbName } from '../daemon/verbs.ts'

/** Options that every command takes. */
export interface CommonOptions {
  store: string | undefined
  /** Opens an encrypted store. */
  keyFile: string | undefined
  json: boolean
  quiet: boolean
  /** With `json`: progress too, as JSON lines before the result. */
  progress: boolean
}

export type CommandLine =
  | { type: 'help'; topic: string[] }
  | { type: 'version' }
  | { type: 'verb'; verb: VerbName; given: Record<string, unknown> }

/**
 * Reads the words that follow the program's name. USAGE and BAD_NAME for anything wrong; `common` is filled in
 * as far as it was read, so that an error can be printed the way that was asked for.
 */
export function readCommandLine(words: readonly string[], common: CommonOptions): CommandLine {
  return new CommandLineReader(words, common).read()
}

class CommandLineReader {
  readonly #words: string[]
  readonly #common: CommonOptions
  readonly #named: string[] = []
  readonly #given = new Map<string, unknown>()
  #verb: VerbName | null = null
  #positionals = 0
  #help = false
  #version = false

  constructor(words: readonly string[], common: CommonOptions) {
    this.#words = [...words]
    this.#common = common
  }

  read(): CommandLine {
    for (let word = this.#words.shift(); word !== undefined; word = this.#words.shift()) {
      if (word === '--') this.#readRest(this.#words.splice(0))
      else if (word.startsWith('-') && word !== '-') this.#readOption(word)
      else if (this.#verb === null) this.#readName(word)
      else this.#readPositional(word)
    }
    if (this.#version) return { type: 'version' }
    if (this.#help) return { type: 'help', topic: this.#named }
    if (this.#verb === null) throw unknownCommand(this.#named)
    const given = Object.fromEntries(this.#given)
    checkedArguments(verbNamed(this.#verb), given)
    return { type: 'verb', verb: this.#verb, given }
  }

  #readName(word: string): void {
    this.#named.push(word)
    const name = this.#named.join(' ')
    if (isVerbName(name)) this.#verb = name
    else if (!verbNames.some((each) => each.startsWith(`${name} `))) throw unknownCommand(this.#named)
  }

  #readOption(word: string): void {
    const { name, inline } = splitOption(word)
    if (this.#readCommon(name, inline)) return
    if (this.#verb === null) throw usage(`there is no option --${name} before the command`)
    const found = this.#parameters().find(([field, { place }]) =>
      optionName(field) === name && (place === 'option' || place === 'flag'))
    if (found === undefined) throw usage(`"${this.#verb}" has no option --${name}`)
    const [field, parameter] = found
    const value = parameter.place === 'flag'
      ? flagValue(name, inline)
      : parameter.kind.parse(this.#valueOf(name, inline))
    this.#store(field, parameter, value, `--${name}`)
  }

  #readCommon(name: string, inline: string | null): boolean {
    switch (name) {
      case 'store': this.#common.store = this.#valueOf(name, inline); return true
      case 'key-file': this.#common.keyFile = this.#valueOf(name, inline); return true
      case 'json': this.#common.json = flagValue(name, inline); return true
      case 'quiet': this.#common.quiet = flagValue(name, inline); return true
      case 'progress': this.#common.progress = flagValue(name, inline); return true
      case 'help': this.#help = flagValue(name, inline); return true
      case 'version': this.#version = flagValue(name, inline); return true
      default: return false
    }
  }

  #readPositional(word: string): void {
    const found = this.#parameters().filter(([, { place }]) => place === 'positional').at(this.#positionals++)
    if (found === undefined) throw usage(`"${this.#verb}" does not take "${word}"`)
    this.#store(found[0], found[1], found[1].kind.parse(word), found[1].kind.label)
  }

  #readRest(words: string[]): void {
    const found = this.#verb === null ? undefined : this.#parameters().find(([, { place }]) => place === 'rest')
    if (found === undefined) throw usage(`"${this.#verb ?? 'holdfast'}" takes nothing behind "--"`)
    for (const word of words) this.#store(found[0], found[1], found[1].kind.parse(word), '--')
  }

  #parameters(): [string, Parameter<unknown>][] {
    return this.#verb === null ? [] : Object.entries(verbNamed(this.#verb).parameters)
  }

  #store(field: string, parameter: Parameter<unknown>, value: unknown, said: string): void {
    const before = this.#given.get(field)
    if (parameter.repeated) this.#given.set(field, Array.isArray(before) ? [...before, value] : [value])
    else if (before === undefined) this.#given.set(field, value)
    else throw usage(`${said} is given twice`)
  }

  #valueOf(name: string, inline: string | null): string {
    const value = inline ?? this.#words.shift()
    if (value === undefined || (inline === null && value === '--')) throw usage(`--${name} wants a value`)
    return value
  }
}

/** `readData` is `--read-data`. */
export function optionName(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

function splitOption(word: string): { name: string; inline: string | null } {
  if (word === '-h') return { name: 'help', inline: null }
  if (!word.startsWith('--')) throw usage(`there is no option ${word}: options are whole words, such as --json`)
  const equals = word.indexOf('=')
  return equals < 0
    ? { name: word.slice(2), inline: null }
    : { name: word.slice(2, equals), inline: word.slice(equals + 1) }
}

function flagValue(name: string, inline: string | null): true {
  if (inline !== null) throw usage(`--${name} takes no value`)
  return true
}

function unknownCommand(words: string[]): Error {
  if (words.length === 0) return usage('a command is missing: "holdfast --help" lists them')
  const name = words.join(' ')
  const family = verbNames.filter((each) => each.startsWith(`${words[0]} `))
  if (family.length > 0) return usage(`"${name}" is no command: ${family.map((each) => `"${each}"`).join(', ')} are`)
  return usage(`there is no command "${name}": "holdfast --help" lists them`)
}
