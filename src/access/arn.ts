import { AppError } from '#base/errors.ts'

/** A resource name: `acs:SERVICE:REGION:ACCOUNT:RELATIVE_ID`. In policies each part may hold wildcards. */
export interface Arn {
  readonly service: string
  readonly region: string
  readonly accountId: string
  /** What comes after the fourth colon, colons included. */
  readonly relativeId: string
}

const PREFIX = 'acs:'

/** Throws `arn_invalid` for what does not have five parts, the first being `acs`, the second and the last not empty. */
export function parseArn(text: string): Arn {
  const [service = '', region, accountId, ...rest] = text.slice(PREFIX.length).split(':')
  const relativeId = rest.join(':')
  if (!text.startsWith(PREFIX) || region === undefined || accountId === undefined || !service || !relativeId)
    throw new AppError('arn_invalid', `"${text}" is no resource name: write acs:SERVICE:REGION:ACCOUNT:ID.`)
  return { service, region, accountId, relativeId }
}

/** The text of an ARN; the reverse of parseArn. */
export function encodeArn({ service, region, accountId, relativeId }: Arn): string {
  return `${PREFIX}${service}:${region}:${accountId}:${relativeId}`
}

/** Users, roles and accounts are the same in all regions. */
const ramArn = (accountId: string, relativeId: string) =>
  encodeArn({ service: 'ram', region: '', accountId, relativeId })

/** The account itself; in a trust policy: everybody of this account. */
export const accountArn = (accountId: string): string => ramArn(accountId, 'root')

export const userArn = (accountId: string, userName: string): string => ramArn(accountId, `user/${userName}`)

export const roleArn = (accountId: string, roleName: string): string => ramArn(accountId, `role/${roleName}`)

/** Who has assumed a role, as GetCallerIdentity and conditions name it. */
export const assumedRoleArn = (accountId: string, roleName: string, sessionName: string): string =>
  ramArn(accountId, `assumed-role/${roleName}/${sessionName}`)

/** The same, as the answer of AssumeRole names it (`AssumedRoleUser.Arn`). */
export const roleSessionArn = (accountId: string, roleName: string, sessionName: string): string =>
  ramArn(accountId, `role/${roleName}/${sessionName}`)
