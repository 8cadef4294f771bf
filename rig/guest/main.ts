/** Builds the guest and prints its paths: `node rig/guest/main.ts [--firmware]`. */
import { guest } from './index.ts'

const built = await guest({ firmware: process.argv.includes('--firmware') })
for (const [name, value] of Object.entries(built)) {
  if (typeof value === 'string') process.stdout.write(`${name} ${value}\n`)
}
process.stdout.write(`append ${built.append()}\n`)
