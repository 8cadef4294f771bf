/** How the secret of an encrypted store gets to whoever opens it. */
import type { Secret } from '../crypto/secret.ts'
import { systemEnv } from '../env/system.ts'

/** Asked only where a store is encrypted and about to be opened. Undefined where the caller has none. */
export type SecretSource = () => Promise<Secret | undefined>

export const noSecret: SecretSource = async () => undefined

/** Names of variables whose values are secrets: no other process is to inherit them. */
export const secretVariables = Object.freeze({
  passphrase: 'HOLDFAST_PASSPHRASE',
  newPassphrase: 'HOLDFAST_NEW_PASSPHRASE',
})

/** Errors: what the source throws. */
export async function secretFor(store: string, source: SecretSource): Promise<Secret | undefined> {
  const { isEncrypted } = await import('../store/keys.ts')
  return isEncrypted(systemEnv(), store) ? source() : undefined
}

/** Errors: KEY_NEEDED, KEY_WRONG, DAMAGED, and what the source throws. */
export async function unlockedRoot(store: string, source: SecretSource): Promise<string | null> {
  const { isEncrypted, rootOf } = await import('../store/keys.ts')
  return isEncrypted(systemEnv(), store) ? rootOf(systemEnv(), store, await source()) : null
}

export function withoutSecrets(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const names: readonly string[] = Object.values(secretVariables)
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !names.includes(name)))
}
