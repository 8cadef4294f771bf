/** What is on the disk of a guest whose power went, judged without booting it: its file system and its database. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { fsck, isSound } from '../../rig/demo/fsck.ts'

const database = '/var/lib/workload/counter.db'

/** Rows up to `acknowledged` are to be there and whole. The file is changed, then removed. */
export function judgeDisk(file: string, acknowledged: number): string[] {
  const copy = `${file}.db`
  try {
    const report = fsck(file)
    if (!isSound(report)) return [`e2fsck: ${report.unexpected.join('; ')}`]
    for (const end of ['', '-wal']) dump(file, database + end, copy + end)
    return judgeDatabase(copy, acknowledged)
  } finally {
    for (const path of [file, copy, `${copy}-wal`, `${copy}-shm`]) rmSync(path, { force: true })
  }
}

function judgeDatabase(path: string, acknowledged: number): string[] {
  if (!existsSync(path)) return ['the database is gone']
  const opened = new DatabaseSync(path)
  try {
    const faults: string[] = []
    const { integrity_check: integrity } = opened.prepare('pragma integrity_check').get() as { integrity_check: string }
    if (integrity !== 'ok') faults.push(`integrity_check says ${integrity}`)
    let last = 0
    for (const row of opened.prepare('select n, payload from counter order by n').iterate()) {
      const { n, payload } = row as { n: number; payload: Uint8Array }
      if (n !== last + 1) faults.push(`row ${n} follows row ${last}`)
      const wanted = createHash('shake128', { outputLength: payload.length }).update(String(n)).digest()
      if (!wanted.equals(payload)) faults.push(`row ${n} holds other bytes than were inserted`)
      last = n
    }
    if (last < acknowledged) faults.push(`${acknowledged} was acknowledged, ${last} is the last row`)
    return faults
  } finally {
    opened.close()
  }
}

/** What is not there is not written. */
function dump(file: string, path: string, target: string): void {
  const { error } = spawnSync('debugfs', ['-R', `dump ${path} ${target}`, file], { stdio: 'ignore' })
  if (error !== undefined) throw error
}
