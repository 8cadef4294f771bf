/** The command line over a fake host, in a process of its own. */
import { runProgram } from '../../src/cli/program.ts'
import { openFakeHost } from '../daemon/fake-host.ts'

const daemonEntry = new URL('../daemon/fake-daemon.ts', import.meta.url)
process.exitCode = await runProgram(process.argv.slice(2), { openHost: openFakeHost, daemonEntry })
