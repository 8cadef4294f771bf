import test from 'ava'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemEnv } from '../../src/env/system.ts'
import { openReplica } from '../../src/replica/open.ts'
import { contract } from './contract.ts'

contract({
  name: 'directory',
  register: test,
  async open(t) {
    const directory = fs.mkdtempSync(join(tmpdir(), 'holdfast-replica-'))
    const replica = openReplica(systemEnv(), `file://${directory}/root`)
    t.teardown(async () => {
      await replica.close()
      fs.rmSync(directory, { recursive: true, force: true })
    })
    await replica.makeDirectory('')
    return replica
  },
})
