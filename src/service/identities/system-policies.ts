/** A policy that comes with the program: it can be attached, and not changed. */
export interface SystemPolicy {
  readonly name: string
  readonly description: string
  readonly document: string
}

interface Allowed {
  readonly Action: string | readonly string[]
}

const documentOf = (statement: Allowed) =>
  JSON.stringify({ Version: '1', Statement: [{ Effect: 'Allow', ...statement, Resource: '*' }] })

const PAI_READ = ['paidsw:Get*', 'paidsw:List*', 'paidsw:Query*', 'paiimage:Get*', 'paiimage:List*']

/** Under the names that RAM has for them, where it has them. */
const POLICIES: readonly SystemPolicy[] = [
  {
    name: 'AdministratorAccess',
    description: 'Everything, the users and their rights included.',
    document: documentOf({ Action: '*' }),
  },
  {
    name: 'ReadOnlyAccess',
    description: 'Looking at everything, and changing nothing.',
    document: documentOf({ Action: [...PAI_READ, 'ram:Get*', 'ram:List*', 'tintype:Get*', 'tintype:List*'] }),
  },
  {
    name: 'AliyunPAIFullAccess',
    description: 'All instances, snapshots and images, and the registries that snapshots go to.',
    document: documentOf({ Action: ['paidsw:*', 'paiimage:*', 'tintype:*'] }),
  },
  {
    name: 'AliyunPAIReadOnlyAccess',
    description: 'Looking at instances, snapshots and images.',
    document: documentOf({ Action: [...PAI_READ, 'tintype:Get*', 'tintype:List*'] }),
  },
  {
    name: 'AliyunRAMFullAccess',
    description: 'All users, keys, policies and roles. Whoever may do this may do everything.',
    document: documentOf({ Action: 'ram:*' }),
  },
  {
    name: 'AliyunRAMReadOnlyAccess',
    description: 'Looking at users, keys, policies and roles.',
    document: documentOf({ Action: ['ram:Get*', 'ram:List*'] }),
  },
  {
    name: 'AliyunSTSAssumeRoleAccess',
    description: 'Taking on roles, where the role allows it too.',
    document: documentOf({ Action: 'sts:AssumeRole' }),
  },
]

/** By name, in the order of their names. */
export const SYSTEM_POLICIES: ReadonlyMap<string, SystemPolicy> = new Map(
  POLICIES.toSorted((a, b) => (a.name < b.name ? -1 : 1)).map((policy) => [policy.name, policy]),
)

/** What stands in the sample where the repository of a team belongs. */
const SAMPLE_REPOSITORY = 'registry.example.com/your-team'

/** The custom policy that a new installation has, to be attached or copied. */
export const SAMPLE_POLICY_NAME = 'TintypeResearcher'

const NOT_FOR_RESEARCHERS = ['paidsw:ListAllInstances', 'ram:*', 'sts:*', 'tintype:*Registr*']

/**
 * What a researcher needs: instances, snapshots and images, pushed to `repository` and what is below it only. Without
 * such a condition a user can overwrite everybody's images (design.md §7). What is private to others is not shown. A
 * preview is allowed by its own name: it needs no repository, and goes by the name of the saving as well.
 */
export function samplePolicy(repository: string = SAMPLE_REPOSITORY): string {
  const where = { StringLike: { 'tintype:Repository': [repository, `${repository}/*`] } }
  const saving = ['paidsw:CreateInstanceSnapshot', 'tintype:CreateSchedule', 'tintype:UpdateSchedule']
  return JSON.stringify(
    {
      Version: '1',
      Statement: [
        { Effect: 'Allow', NotAction: [...saving, ...NOT_FOR_RESEARCHERS], Resource: '*' },
        { Effect: 'Allow', Action: 'tintype:PreviewInstanceSnapshot', Resource: '*' },
        { Effect: 'Allow', Action: saving, Resource: '*', Condition: where },
      ],
    },
    undefined,
    2,
  )
}
