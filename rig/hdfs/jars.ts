/** The jars of Hadoop, fetched once by Maven and then shared by all clusters of this host. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { RigError } from '../errors.ts'

const projectFile = join(import.meta.dirname, 'pom.xml')

/** What keeps a cluster from being started on this host, as a sentence; null when nothing does. */
export function missingForHdfs(): string | null {
  if (!runs('java', '-version')) return 'java is not installed (on Debian: openjdk-17-jre-headless)'
  if (existsSync(jarDirectory())) return null
  if (runs('mvn', '--version')) return null
  return 'mvn is not installed, and the jars of Hadoop are not here yet (on Debian: maven)'
}

/** A directory of jars that is complete. The first call on a host downloads 41 MB. @throws RigError BUILD_FAILED. */
export async function hadoopJars(): Promise<string> {
  const directory = jarDirectory()
  if (!existsSync(directory)) await fetchInto(directory)
  return directory
}

/** Named by what decides its content. */
function jarDirectory(): string {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
  const digest = createHash('sha256').update(readFileSync(projectFile)).digest('hex')
  return join(cache, 'holdfast', `hdfs-${digest.slice(0, 16)}`)
}

/** Fetched beside its place and then renamed: two who do it at once harm nobody. */
async function fetchInto(directory: string): Promise<void> {
  mkdirSync(join(directory, '..'), { recursive: true })
  const part = mkdtempSync(`${directory}.part-`)
  try {
    const jars = join(part, 'jars')
    mkdirSync(jars)
    copyFileSync(projectFile, join(part, 'pom.xml'))
    await maven(part, jars)
    if (!existsSync(directory)) renameSync(jars, directory)
  } catch (error) {
    if (!existsSync(directory)) throw error
  } finally {
    rmSync(part, { recursive: true, force: true })
  }
}

async function maven(project: string, jars: string): Promise<void> {
  const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${jars}`]
  const words = ['-B', '-q', '-ntp', '-f', join(project, 'pom.xml'), ...goal]
  const child = spawn('mvn', words, { stdio: ['ignore', 2, 2] })
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new RigError('BUILD_FAILED', `Maven could not fetch the jars of Hadoop: it ended with ${code}`)
}

function runs(command: string, argument: string): boolean {
  return spawnSync(command, [argument], { stdio: 'ignore' }).status === 0
}
