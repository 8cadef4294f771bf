import { readFileSync } from 'node:fs'
import test from 'ava'
import { isCode } from '../../src/errors.ts'
import { checkedArguments, verbNamed, verbNames } from '../../src/daemon/verbs.ts'
import { version } from '../../src/daemon/version.ts'
import { Random } from '../random.ts'

test('the version is the package’s', (t) => {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  t.is((JSON.parse(text) as { version: string }).version, version)
})

test('the table has the commands that scripts rely on, and what an object inherits is none', (t) => {
  const wanted = [
    'init', 'create', 'images', 'log', 'show', 'diff', 'stats', 'mount', 'unmount', 'seal', 'pin', 'unpin', 'rm', 'fork',
    'rollback', 'export', 'vm start', 'vm checkpoint', 'vm resume', 'vm stop', 'vm status', 'vm console', 'check',
    'index rebuild', 'gc', 'daemon start', 'daemon stop', 'daemon restart', 'daemon status', 'replica add', 'replica list',
    'replica status', 'replica sync', 'replica remove', 'replica images', 'restore',
    'mounts', 'clean', 'key list', 'key add', 'key remove', 'key change', 'key rotate-master',
  ]
  for (const name of wanted) t.true(verbNames.some((each) => each === name), name)
  for (const name of ['', 'toString', '__proto__', 7, null, undefined]) {
    t.true(isCode(t.throws(() => verbNamed(name)), 'USAGE'), String(name))
  }
})

test('every verb says what it does, and each of its parameters too', (t) => {
  for (const name of verbNames) {
    const { help, parameters } = verbNamed(name)
    t.true(help.length > 5, name)
    for (const [field, { help: said }] of Object.entries(parameters)) t.true(said.length > 5, `${name} ${field}`)
  }
})

test('what is missing, unknown or together senseless is USAGE', (t) => {
  const wrong: [string, unknown][] = [
    ['create', {}], ['create', []], ['create', null], ['create', 'a'], ['create', { image: 'a', bases: [] }],
    ['create', { image: 7 }], ['create', { image: 'a', base: '/x' }], ['create', { image: 'a', base: ['x'] }],
    ['create', { image: 'a', base: Array.from({ length: 1025 }, () => '/x') }],
    ['check', { sample: 0.1 }], ['check', { readData: 'yes' }], ['vm checkpoint', { image: 'a', every: 5000, note: 'x' }],
    ['vm checkpoint', { image: 'a', every: 5000, waitReplicas: 1 }],
    ['vm checkpoint', { image: 'a', waitTime: 5000 }], ['seal', { image: 'a', waitTime: 5000 }],
    ['seal', { image: 'a', waitReplicas: 1, waitTime: 0 }], ['vm start', { image: 'a', initrd: '/x' }], ['vm start', { image: 'a', forward: ['tcp::1-:2'] }],
    ['vm start', { image: 'a', memory: 1.5 }], ['seal', { image: 'a', note: 'x'.repeat(5000) }],
  ]
  for (const [name, given] of wrong) {
    const error = t.throws(() => checkedArguments(verbNamed(name), given), undefined, `${name} ${JSON.stringify(given)?.slice(0, 80)}`)
    t.true(isCode(error, 'USAGE'), `${name}: ${String(error)}`)
  }
})

test('defaults are filled in', (t) => {
  t.like(checkedArguments(verbNamed('vm start'), { image: 'a' }), { memory: 512 * 2 ** 20, cpus: 1, accel: 'auto', disk: [], extra: [] })
  t.deepEqual(checkedArguments(verbNamed('create'), { image: 'a' }), { image: 'a', base: [] })
})

test('random arguments are checked or refused, never anything else', (t) => {
  const random = Random.announced(t)
  const values: unknown[] = [
    undefined, null, true, false, 0, -1, 1.5, NaN, 2 ** 60, '', 'a', 'a@1', 'a@1:/x', '/x', '-', [], ['/x'], [[]], {}, { length: 3 },
  ]
  for (let round = 0; round < 3000; round++) {
    const verb = verbNamed(random.pick(verbNames))
    const fields = [...Object.keys(verb.parameters), 'other', '__proto__']
    const given = Object.fromEntries(fields.filter(() => random.below(3) > 0).map((field) => [field, random.pick(values)]))
    try {
      checkedArguments(verb, given)
    } catch (error) {
      if (!isCode(error, 'USAGE', 'BAD_NAME')) t.fail(`${JSON.stringify(given)}: ${String(error)}`)
    }
  }
  t.pass()
})
