/** The table of rooms: who may import whom. `src/DESIGN.md` says why. */

/** A room's own files, and the files of the rooms named here, may be imported; packages and `node:` by `packages`. */
export interface Room {
  readonly name: string
  readonly imports: readonly string[]
  readonly packages: 'production' | 'none' | 'any'
}

const base = ['root']
const toCrypto = [...base, 'format', 'env', 'crypto']
const toChunk = [...toCrypto, 'chunk']
const toImage = [...toChunk, 'store', 'replica', 'image']
const everything = ['daemon', 'index', 'cli', 'fuse', 'drivers', 'rig']
const toMachine = [...toImage, 'mount', 'machine']

export const rooms: readonly Room[] = [
  { name: 'root', imports: [], packages: 'production' },
  { name: 'format', imports: base, packages: 'production' },
  { name: 'env', imports: base, packages: 'production' },
  { name: 'crypto', imports: [...base, 'format', 'env'], packages: 'production' },
  { name: 'chunk', imports: toCrypto, packages: 'production' },
  { name: 'store', imports: toChunk, packages: 'production' },
  { name: 'replica', imports: toChunk, packages: 'production' },
  { name: 'image', imports: toImage, packages: 'production' },
  { name: 'mount', imports: [...toImage, 'fuse'], packages: 'production' },
  { name: 'machine', imports: [...toImage, 'mount', 'drivers'], packages: 'production' },
  { name: 'daemon', imports: toMachine, packages: 'production' },
  { name: 'index', imports: [...toMachine, 'daemon'], packages: 'production' },
  { name: 'cli', imports: [...toMachine, 'daemon'], packages: 'production' },
  { name: 'fuse', imports: [], packages: 'production' },
  { name: 'drivers', imports: [], packages: 'production' },
  { name: 'rig', imports: [], packages: 'none' },
  { name: 'bench', imports: [...toMachine, ...everything], packages: 'any' },
  { name: 'test', imports: [...toMachine, ...everything, 'bench'], packages: 'any' },
]

/** The room of a file by its path from the project's root; undefined when it lies in none. */
export function roomOf(path: string): Room | undefined {
  const name = roomName(path)
  return rooms.find((room) => room.name === name)
}

/** True for what is shipped. */
export function isProduction(path: string): boolean {
  return /^(src|fuse|drivers)\//.test(path)
}

function roomName(path: string): string {
  const [top, second, ...deeper] = path.split('/')
  if (top !== 'src') return top
  if (deeper.length > 0) return second
  return second === 'index.ts' ? 'index' : 'root'
}
