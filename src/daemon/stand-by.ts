/**
 * A daemon of a store without images is there to bring one from a replica and run it: what that will take is loaded
 * ahead, as loading it takes longer than the rest.
 */
export async function standBy(): Promise<void> {
  const { fetchThreads } = await import('../image/remote/fetch-threads.ts')
  fetchThreads.warm()
  const { pushingThreads } = await import('../machine/pushing-threads.ts')
  pushingThreads.warm()
  await import('./restore.ts')
  await import('../image/remote/join.ts')
  await import('../image/remote/remote-records.ts')
  await import('../machine/machines.ts')
}
