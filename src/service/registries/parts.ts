import type { Clock } from '#base/clock.ts'
import type { Proxies } from '#config/proxies.ts'
import type { AllowedRegistry } from '#config/values.ts'
import type { RegistriesTable } from '#store/registries.ts'
import type { Secrets } from '#store/secrets.ts'

export interface RegistriesParts {
  readonly table: RegistriesTable
  readonly secrets: Secrets
  readonly clock: Clock
  /** TINTYPE_REGISTRIES; absent: loopback. */
  readonly configured?: readonly AllowedRegistry[]
  /** TINTYPE_TRUSTED_HOSTS */
  readonly trustedHosts?: readonly string[]
  readonly proxies?: Proxies
  /** The addresses of a host name; replaced in tests. */
  readonly lookup?: (host: string) => Promise<readonly string[]>
}
