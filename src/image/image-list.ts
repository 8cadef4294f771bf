/** What lies in `images/`: images, what a crash left of some, and what others put there. */
import { join } from 'node:path'
import type { Env } from '../env/env.ts'
import { requireKind } from '../env/stored.ts'
import { removeTree } from '../env/tree.ts'
import { isImageName } from './image-name.ts'

/** Names of the images; what else may lie there is passed over. Errors: DAMAGED (`images` is no directory). */
export function listImages(env: Env, storeDirectory: string): string[] {
  return namesIn(env, storeDirectory).filter((name) => isImage(env, storeDirectory, name))
}

/** What lies among the images and is none: files, and names that no image can have. Errors: as listImages. */
export function listStrangers(env: Env, storeDirectory: string): string[] {
  return namesIn(env, storeDirectory).filter((name) => !isImage(env, storeDirectory, name))
}

/** What a crash left is cleaned away. Errors: as listImages. */
export function removeLeftovers(env: Env, storeDirectory: string): void {
  const images = join(storeDirectory, 'images')
  requireKind(env, images, 'directory')
  if (!env.exists(images)) return
  for (const name of env.readdir(images)) if (name.startsWith('.')) removeTree(env, join(images, name))
}

function namesIn(env: Env, storeDirectory: string): string[] {
  const images = join(storeDirectory, 'images')
  requireKind(env, images, 'directory')
  return env.exists(images) ? env.readdir(images).filter((name) => !name.startsWith('.')).sort() : []
}

function isImage(env: Env, storeDirectory: string, name: string): boolean {
  const path = join(storeDirectory, 'images', name)
  return isImageName(name) && env.exists(path) && env.stat(path).kind === 'directory'
}
