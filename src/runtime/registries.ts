import { AppError } from '#base/errors.ts'
import { parseReference } from '#oci/reference.ts'
import { openRegistryRepository } from '#registry/registry.ts'
import type { Repository } from '#registry/repository.ts'
import type { RegistryAccess } from './runtime.ts'

/** `isTarget`: it will be pushed to. */
export type OpenRepository = (name: string, options?: { readonly isTarget: boolean }) => Promise<Repository>

/**
 * Opens repositories (`registry/repository`) of the given registries, each with the login that is given for it, and of no
 * others: nothing of the server's own logins is looked up (design.md §4.6). The function throws `registry_not_allowed`
 * for another registry, and `reference_invalid`.
 */
export function openRegistries(allowed: readonly RegistryAccess[]): OpenRepository {
  return async (name, options) => {
    const { registry, repository } = parseReference(name)
    const access = allowed.find(({ host }) => host === registry.toLowerCase())
    if (!access) {
      const message = `The server may not speak to the registry ${registry}: list it in TINTYPE_REGISTRIES, or register it.`
      throw new AppError('registry_not_allowed', message, { details: { registry } })
    }
    const { host, plainHttp, allowPrivate, trustedHosts, proxies, login } = access
    return openRegistryRepository({
      registry: host,
      repository,
      credentials: async () => login && { kind: 'basic', ...login },
      isTarget: options?.isTarget,
      ...(trustedHosts && { trustedHosts }),
      ...(proxies && { proxies }),
      ...(plainHttp === true && { plainHttp }),
      ...(allowPrivate !== undefined && { allowPrivate }),
    })
  }
}
