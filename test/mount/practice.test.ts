/** A thread that stands by practises in memory, and leaves nothing there. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { practise } from '../../src/mount/practice.ts'

const memory = '/dev/shm'
const ours = `holdfast-practice-${process.pid}-`

function left(): string[] {
  return existsSync(memory) ? readdirSync(memory).filter((name) => name.startsWith(ours)) : []
}

test.serial('it serves, takes over and commits, and leaves nothing', async (t) => {
  let asked = 0
  await practise(() => {
    asked += 1
    return false
  })
  t.true(asked > 100 || !existsSync(memory), 'it went on to its end')
  t.deepEqual(left(), [])
})

test.serial('it ends as soon as the thread is wanted', async (t) => {
  let asked = 0
  await practise(() => {
    asked += 1
    return asked > 3
  })
  t.true(asked < 10)
  t.deepEqual(left(), [])
})

test.serial('what a killed process left of its own is removed', async (t) => {
  if (!existsSync(memory)) return t.pass('there is no memory to practise in')
  // No process has so high a number.
  const dead = join(memory, 'holdfast-practice-4294967295-00')
  mkdirSync(dead)
  writeFileSync(join(dead, 'store.json'), '')
  await practise(() => true)
  t.false(existsSync(dead))
})
