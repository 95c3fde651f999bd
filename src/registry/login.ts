import { AppError } from '#base/errors.ts'
import type { Credentials } from './auth.ts'
import { openClient } from './client.ts'
import { systemPace } from './retry.ts'
import type { RegistryReach } from './registry.ts'

/**
 * Ask the registry whether it takes these credentials (distribution-spec: GET /v2/), or anybody when there are none.
 * Throws `registry_denied` when it does not, `registry_unavailable` when it does not answer.
 */
export async function checkLogin(
  registry: string,
  credentials: Credentials | undefined,
  signal?: AbortSignal,
  reach: RegistryReach = {},
): Promise<void> {
  const host = registry === 'docker.io' ? 'registry-1.docker.io' : registry
  const client = openClient({
    ...reach,
    registry,
    host,
    credentials: async () => credentials,
    trustedHosts: reach.trustedHosts ?? [],
    userAgent: 'tintype',
    pace: systemPace,
  })
  const response = await client.call({ method: 'GET', url: '/v2/', scopes: [], ...(signal && { signal }) })
  await response.discard()
  if (response.status === 200) return
  const details = { registry, status: response.status }
  if (response.status === 401 || response.status === 403)
    throw new AppError('registry_denied', `${registry} refuses this login: check the user name and the password.`, {
      details,
    })
  throw new AppError(
    'registry_refused',
    `${registry} is no registry that we know: it answered ${response.status} to /v2/.`,
    { details },
  )
}
