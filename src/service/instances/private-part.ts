import type { Secrets } from '#store/secrets.ts'

/** What an instance was told and nobody reads in the database: people keep tokens in it. */
export interface PrivatePart {
  readonly environment: Readonly<Record<string, string>>
  readonly onStart?: string
}

const PURPOSE = 'instance-private'
const IMAGE_AUTH = 'instance-image-auth'
const ACCESS_TOKEN = 'instance-access-token'

/** Undefined: there is nothing to keep. */
export function sealPrivate(secrets: Secrets, part: PrivatePart): string | undefined {
  const isEmpty = part.onStart === undefined && Object.keys(part.environment).length === 0
  return isEmpty ? undefined : secrets.seal(JSON.stringify(part), PURPOSE)
}

/** The reverse of sealPrivate. Throws `store_unsupported` for what this installation did not seal. */
export function parsePrivate(secrets: Secrets, sealed: string | undefined): PrivatePart {
  return sealed === undefined ? { environment: {} } : (JSON.parse(secrets.unseal(sealed, PURPOSE)) as PrivatePart)
}

export const sealImageAuth = (secrets: Secrets, imageAuth: string) => secrets.seal(imageAuth, IMAGE_AUTH)
export const unsealImageAuth = (secrets: Secrets, sealed: string) => secrets.unseal(sealed, IMAGE_AUTH)
export const sealAccessToken = (secrets: Secrets, token: string) => secrets.seal(token, ACCESS_TOKEN)
export const unsealAccessToken = (secrets: Secrets, sealed: string) => secrets.unseal(sealed, ACCESS_TOKEN)
