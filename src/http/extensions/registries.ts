import { normalHost } from '#service/registries/allowed.ts'
import { encodeArn } from '#access/arn.ts'
import type { Caller } from '#access/caller.ts'
import type { BodyOf } from '#contract/operations.ts'
import type { AnyRoute } from '#http/route.ts'
import { route } from '#http/route.ts'
import { wireTime } from '#http/wire-time.ts'
import type { Registries, RegistryChange, RegistryView } from '#service/registries/registries.ts'

export interface RegistryRouteParts {
  readonly registries: Registries
  /** TINTYPE_REGION */
  readonly region: string
}

/** Registries and the credentials for pushing to them, which no call gives out. */
export function registryRoutes(parts: RegistryRouteParts): readonly AnyRoute[] {
  const { registries, region } = parts
  const arn = ({ accountId }: Caller, host: string) =>
    encodeArn({ service: 'tintype', region, accountId, relativeId: `registry/${normalHost(host)}` })
  return [
    route({
      action: 'CreateRegistry',
      resource: ({ caller, body }) => arn(caller, body.Host),
      async handle({ body }) {
        await registries.create(body.Host, readChange(body))
        return { Host: body.Host }
      },
    }),
    route({
      action: 'ListRegistries',
      resource: ({ caller }) => arn(caller, '*'),
      async handle() {
        const found = await registries.list()
        return { Registries: found.map(writeRegistry), TotalCount: found.length }
      },
    }),
    route({
      action: 'UpdateRegistry',
      resource: ({ caller, params }) => arn(caller, params.Host),
      async handle({ params, body }) {
        await registries.update(params.Host, readChange(body))
        return { Host: params.Host }
      },
    }),
    route({
      action: 'DeleteRegistry',
      resource: ({ caller, params }) => arn(caller, params.Host),
      async handle({ params }) {
        await registries.delete(params.Host)
        return { Host: params.Host }
      },
    }),
    route({
      action: 'TestRegistry',
      resource: ({ caller, params }) => arn(caller, params.Host),
      async handle({ params }) {
        const { reachable, authenticated, message } = await registries.test(params.Host)
        return { Host: params.Host, Reachable: reachable, Authenticated: authenticated, Message: message }
      },
    }),
  ]
}

function readChange({ PlainHttp, UserName, Password }: BodyOf<'UpdateRegistry'>): RegistryChange {
  return {
    ...(PlainHttp !== undefined && { plainHttp: PlainHttp }),
    ...(UserName !== undefined && { userName: UserName }),
    ...(Password !== undefined && { password: Password }),
  }
}

function writeRegistry({ host, plainHttp, hasCredentials, createdMs, modifiedMs }: RegistryView) {
  return {
    GmtCreateTime: wireTime(createdMs),
    GmtModifiedTime: wireTime(modifiedMs),
    HasCredentials: hasCredentials,
    Host: host,
    PlainHttp: plainHttp,
  }
}
