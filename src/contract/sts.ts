import { rpcProduct } from './operation.ts'
import { fields, int64, said, text } from './schema.ts'

const sts = rpcProduct({ product: 'sts', version: '2015-04-01', envelope: 'requestId', ramCode: 'sts' })

const ROLE_ARN_PATTERN = '^acs:ram::[A-Za-z0-9]{1,64}:role/[A-Za-z0-9.-]{1,64}$'
const SESSION_NAME_PATTERN = '^[A-Za-z0-9.@_-]{2,64}$'
const SOURCE_IDENTITY_PATTERN = '^[A-Za-z0-9.@_=,+-]{2,64}$'
const EXTERNAL_ID_PATTERN = '^[\\w+=,.@:/-]{2,1224}$'

/** Short-lived credentials, and who one is. */
export const stsOperations = {
  AssumeRole: sts('AssumeRole', {
    summary: 'Short-lived credentials of a role.',
    query: fields(
      {
        DurationSeconds: int64({ min: 900, max: 43200 }),
        ExternalId: text({
          max: 1224,
          pattern: EXTERNAL_ID_PATTERN,
          rule: '2 to 1224 letters, digits and any of = , . @ : / + - _',
        }),
        Policy: text({ min: 1, max: 2048 }),
        SourceIdentity: text({
          max: 64,
          pattern: SOURCE_IDENTITY_PATTERN,
          rule: '2 to 64 letters, digits and any of . @ _ = , + -',
        }),
      },
      {
        RoleArn: text({
          max: 160,
          pattern: ROLE_ARN_PATTERN,
          rule: 'the ARN of a role like acs:ram::ACCOUNT:role/NAME',
        }),
        RoleSessionName: text({
          max: 64,
          pattern: SESSION_NAME_PATTERN,
          rule: '2 to 64 letters, digits and any of . @ - _',
        }),
      },
    ),
    response: fields({
      AssumedRoleUser: fields({ Arn: said(), AssumedRoleId: said() }),
      Credentials: fields({ AccessKeyId: said(), AccessKeySecret: said(), Expiration: said(), SecurityToken: said() }),
      SourceIdentity: said(),
    }),
  }),
  GetCallerIdentity: sts('GetCallerIdentity', {
    summary: 'Who the caller is.',
    response: fields({
      AccountId: said(),
      Arn: said(),
      IdentityType: said(),
      PrincipalId: said(),
      RoleId: said(),
      UserId: said(),
    }),
    ram: { defaultAllow: true },
  }),
} as const
