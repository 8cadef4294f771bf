/**
 * A small process beside each machine that touches its mount with calls that block: it syncs the memory files
 * (in the daemon such a call could wait for the very thread that answers it) and copies files in. It ends
 * with its standard input.
 */
import { join } from 'node:path'
import { copyContents } from '../env/copy.ts'
import type { EnvFile } from '../env/env.ts'
import { systemEnv } from '../env/system.ts'
import { codeOf, isCode, messageOf } from '../errors.ts'
import type { FlushAnswer, FlushRequest, ListedFile } from './flush-messages.ts'

const env = systemEnv()
const files = new Map<string, EnvFile>()

function carryOut(request: FlushRequest): ListedFile[] {
  switch (request.verb) {
    case 'sync':
      for (const path of request.paths) opened(path).sync()
      return []
    case 'copy':
      copy(request.from, request.to)
      return []
    case 'remove':
      remove(request.path)
      return []
    case 'list':
      return env.readdir(request.path).map((name) => described(join(request.path, name)))
    case 'stat':
      return request.paths.map(described)
  }
}

function opened(path: string): EnvFile {
  const known = files.get(path)
  if (known !== undefined) return known
  const file = env.open(path, 'read')
  files.set(path, file)
  return file
}

function copy(from: string, to: string): void {
  using source = env.open(from, 'read')
  remove(to)
  using target = env.open(to, 'createNew')
  copyContents(source, target)
}

function remove(path: string): void {
  files.get(path)?.close()
  files.delete(path)
  try {
    env.unlink(path)
  } catch (error) {
    if (!isCode(error, 'NOT_FOUND')) throw error
  }
}

function described(path: string): ListedFile {
  try {
    const { kind, bytes, ino } = env.stat(path)
    return { path, kind, bytes, inode: Number(ino) }
  } catch (error) {
    if (!isCode(error, 'NOT_FOUND')) throw error
    return { path, kind: 'none', bytes: 0, inode: 0 }
  }
}

function answer(request: FlushRequest): FlushAnswer {
  try {
    return { id: request.id, files: carryOut(request) }
  } catch (error) {
    return { id: request.id, error: { code: codeOf(error) ?? 'IO', message: messageOf(error) } }
  }
}

let rest = ''
process.stdin.setEncoding('utf8')
process.stdin.on('data', (text: string) => {
  const lines = (rest + text).split('\n')
  rest = lines.pop() ?? ''
  for (const line of lines) process.stdout.write(`${JSON.stringify(answer(JSON.parse(line) as FlushRequest))}\n`)
})
process.stdin.on('end', () => process.exit(0))
// Answers that nobody reads any more: the daemon has gone.
process.stdout.on('error', () => process.exit(0))
