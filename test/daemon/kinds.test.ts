import test from 'ava'
import { isCode } from '../../src/errors.ts'
import * as kinds from '../../src/daemon/kinds.ts'

const refusedNames = ['', '.', '..', '.hidden', '-x', 'a/b', 'a@1', 'a:b', 'a\nb', 'a\0', 'x'.repeat(129), '\ud800']

test('names that cannot be names are BAD_NAME wherever a name may stand', (t) => {
  for (const name of refusedNames) {
    t.true(isCode(t.throws(() => kinds.imageName.parse(name)), 'BAD_NAME'), JSON.stringify(name))
    t.true(isCode(t.throws(() => kinds.imageName.check(name)), 'BAD_NAME'), JSON.stringify(name))
    const address = t.throws(() => kinds.epochAddress.check(`${name}@0`))
    t.true(isCode(address, 'BAD_NAME', 'USAGE'), JSON.stringify(name))
  }
  for (const name of ['web', 'a b', 'Ω', 'x'.repeat(128), 'a.b-c_d']) t.is(kinds.imageName.parse(name), name)
})

test('an error message about a hostile name is one line', (t) => {
  const message = t.throws(() => kinds.imageName.parse('a\n\x1b[2Jb'))?.message ?? ''
  t.notRegex(message, /\p{Cc}/u)
})

test('addresses are read and written the same', (t) => {
  t.deepEqual(kinds.splitAddress('web@12'), { image: 'web', number: 12 })
  t.deepEqual(kinds.splitAddress('web'), { image: 'web', number: null })
  t.deepEqual(kinds.splitFileAddress('web@0:/a:b/c@d'), { epoch: 'web@0', path: '/a:b/c@d' })
  t.is(kinds.target.check('web@3'), 'web@3')
  for (const wrong of ['web@', 'web@-1', 'web@01', 'web@1.5', 'web@9999999999999999', 'web@x', '@1']) {
    t.true(isCode(t.throws(() => kinds.epochAddress.parse(wrong)), 'USAGE', 'BAD_NAME'), wrong)
  }
  t.true(isCode(t.throws(() => kinds.epochAddress.parse('web')), 'USAGE'))
  for (const wrong of ['web@1', 'web:/a', 'web@1:a', 'web@1:/a/../b', 'web@1:']) {
    t.true(isCode(t.throws(() => kinds.fileAddress.parse(wrong)), 'USAGE'), wrong)
  }
})

test('sizes, times and shares', (t) => {
  const size = kinds.size(1, 2 ** 50)
  t.deepEqual(['1', '4K', '512M', '2GiB', '1t'].map((word) => size.parse(word)), [1, 4096, 2 ** 29, 2 ** 31, 2 ** 40])
  for (const wrong of ['', '0', '1.5G', '-1', '1e3', '1X', 'M', '2048T', '99999999999999999999']) {
    t.true(isCode(t.throws(() => size.parse(wrong)), 'USAGE'), wrong)
  }
  const period = kinds.period(100, 86_400_000)
  t.deepEqual(['5s', '250ms', '1.5s', '2m', '2h', 'off', '0'].map((word) => period.parse(word)),
    [5000, 250, 1500, 120_000, 7_200_000, 0, 0])
  for (const wrong of ['5', '50ms', '2d', '-5s', 's', '5 s']) {
    t.true(isCode(t.throws(() => period.parse(wrong)), 'USAGE'), wrong)
  }
  t.deepEqual(['10%', '100', '0.5%'].map((word) => kinds.percentage.parse(word)), [0.1, 1, 0.005])
  for (const wrong of ['0', '101%', 'x', '-1%']) t.true(isCode(t.throws(() => kinds.percentage.parse(wrong)), 'USAGE'), wrong)
})

test('a word is taken from the current directory, a JSON value must be absolute', (t) => {
  t.is(kinds.hostPath.parse('a'), `${process.cwd()}/a`)
  t.true(isCode(t.throws(() => kinds.hostPath.check('a')), 'USAGE'))
  t.true(isCode(t.throws(() => kinds.hostPath.parse('')), 'USAGE'))
  t.true(isCode(t.throws(() => kinds.hostPath.check(`/${'x'.repeat(4096)}`)), 'USAGE'))
  t.true(isCode(t.throws(() => kinds.hostPath.check('/a\0b')), 'USAGE'))
})
