/** The suites of other people in their short form, where their programs are installed. */
import test from 'ava'
import { direct } from '../suites/direct.ts'
import { fio } from '../suites/fio.ts'
import { fsx } from '../suites/fsx.ts'
import { pjdfstest } from '../suites/pjdfstest.ts'
import { posixtest } from '../suites/posixtest.ts'
import { qemuImg } from '../suites/qemu-img.ts'
import { qemuIo } from '../suites/qemu-io.ts'
import { ServedStore } from './served.ts'

for (const suite of [pjdfstest, fsx, direct, fio, qemuIo, qemuImg, posixtest]) {
  const missing = suite.missing()
  const testIfPresent = missing === null ? test.serial : test.serial.skip
  testIfPresent(`${suite.name} on a mounted image${missing === null ? '' : `: ${missing}`}`, async (t) => {
    const store = await ServedStore.start(t)
    const mounted = await store.make('suite', [], { grantsPrivileges: true })
    t.log(await suite.run(mounted, 'short'))
    t.deepEqual(store.events, [])
  })
}
