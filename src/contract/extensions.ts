import { roaProduct } from './operation.ts'
import { fields, flag, int32, int64, list, listed, said, text } from './schema.ts'
import { absolutePath, id, page64 } from './shapes.ts'
import { snapshotDetails, snapshotEvent, snapshotPreview } from './extension-shapes.ts'

const own = roaProduct({ product: 'tintype', version: '2026-11-01', envelope: 'full', ramCode: 'tintype' })
/** Who may use the documented operation may use this one, too. */
const asWellAs = (action: string) => ({ aliases: [`paidsw:${action}`] })

const SNAPSHOT = '/tintype/v1/instances/{InstanceId}/snapshots/{SnapshotId}'
const SCHEDULES = '/tintype/v1/schedules'
const REGISTRIES = '/tintype/v1/registries'
const HOST_PATTERN = '^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\\[[0-9A-Fa-f:.]{2,45}\\])(?::\\d{1,5})?$'
const CREDENTIAL_LIMIT = 16384
/** Ten years. */
const KEEP_DAYS_LIMIT = 3650
const KEEP_LAST_LIMIT = 1000

const cron = () => text({ min: 1, max: 200 })
const repository = () => text({ min: 1, max: 1024 })
/** 0 keeps all. */
const retention = () => ({
  ExcludePaths: list(absolutePath()),
  KeepDays: int32({ min: 0, max: KEEP_DAYS_LIMIT }),
  KeepLast: int32({ min: 0, max: KEEP_LAST_LIMIT }),
  TimeZone: text({ max: 64 }),
  Enabled: flag(),
})

const schedule = () => ({
  Cron: said(),
  Enabled: flag(),
  ExcludePaths: listed(said()),
  GmtCreateTime: said(),
  GmtModifiedTime: said(),
  ImageUrl: said(),
  InstanceId: said(),
  KeepDays: int32(),
  KeepLast: int32(),
  LastSnapshotId: said(),
  NextTime: said(),
  ScheduleId: said(),
  TimeZone: said(),
  UserId: said(),
})

const credentials = () => ({
  Password: text({ max: CREDENTIAL_LIMIT, secret: true }),
  PlainHttp: flag(),
  UserName: text({ max: 256 }),
})
const registry = () => ({
  GmtCreateTime: said(),
  GmtModifiedTime: said(),
  HasCredentials: flag(),
  Host: said(),
  PlainHttp: flag(),
})

const snapshotExtensions = {
  PreviewInstanceSnapshot: own('PreviewInstanceSnapshot', 'GET', '/tintype/v1/instances/{InstanceId}/preview', {
    summary: 'What a snapshot would take now: sizes, the largest files, what is left out. No file is read.',
    query: fields({ ExcludePaths: list(absolutePath()) }),
    jsonQuery: ['ExcludePaths'],
    response: snapshotPreview(),
    ram: asWellAs('CreateInstanceSnapshot'),
  }),
  GetSnapshotDetails: own('GetSnapshotDetails', 'GET', SNAPSHOT, {
    summary: 'All that is known of a snapshot: progress, digest, layers, the freeze, what could not be taken exactly.',
    response: snapshotDetails(),
    ram: asWellAs('GetInstanceSnapshot'),
  }),
  WatchSnapshot: own('WatchSnapshot', 'GET', `${SNAPSHOT}/events`, {
    summary: 'The progress of a snapshot as server-sent events, until it is Saved or Failed.',
    response: snapshotEvent(),
    envelope: 'none',
    stream: true,
    ram: asWellAs('GetInstanceSnapshot'),
  }),
  CancelInstanceSnapshot: own('CancelInstanceSnapshot', 'POST', `${SNAPSHOT}/cancel`, {
    summary: 'Ends a snapshot that is not finished. Its record stays: Failed, with the reason Cancelled.',
    response: fields({ InstanceId: said(), SnapshotId: said() }),
    ram: asWellAs('DeleteInstanceSnapshot'),
  }),
} as const

const scheduleExtensions = {
  CreateSchedule: own('CreateSchedule', 'POST', SCHEDULES, {
    summary: 'Saves an instance again and again, and keeps the last or the youngest images.',
    body: fields(retention(), { Cron: cron(), ImageUrl: repository(), InstanceId: text({ min: 1, max: 256 }) }),
    response: fields({ ScheduleId: said() }),
  }),
  ListSchedules: own('ListSchedules', 'GET', SCHEDULES, {
    summary: 'The schedules that the caller may see.',
    query: fields({ InstanceId: id() }, page64()),
    response: fields({ Schedules: listed(fields(schedule())), TotalCount: int64() }),
  }),
  GetSchedule: own('GetSchedule', 'GET', `${SCHEDULES}/{ScheduleId}`, {
    summary: 'One schedule.',
    response: fields(schedule()),
  }),
  UpdateSchedule: own('UpdateSchedule', 'PUT', `${SCHEDULES}/{ScheduleId}`, {
    summary: 'Changes a schedule. A field that is left out stays as it is.',
    body: fields({ ...retention(), Cron: cron(), ImageUrl: repository() }),
    response: fields({ ScheduleId: said() }),
  }),
  DeleteSchedule: own('DeleteSchedule', 'DELETE', `${SCHEDULES}/{ScheduleId}`, {
    summary: 'Ends a schedule. What it saved stays.',
    response: fields({ ScheduleId: said() }),
  }),
} as const

const registryExtensions = {
  CreateRegistry: own('CreateRegistry', 'POST', REGISTRIES, {
    summary: 'Makes a registry known, and the credentials to push to it.',
    body: fields(credentials(), {
      Host: text({
        max: 260,
        pattern: HOST_PATTERN,
        rule: 'a host with or without a port, like registry.example:5000',
      }),
    }),
    response: fields({ Host: said() }),
  }),
  ListRegistries: own('ListRegistries', 'GET', REGISTRIES, {
    summary: 'The registries that are known. Credentials are never shown.',
    response: fields({ Registries: listed(fields(registry())), TotalCount: int64() }),
  }),
  UpdateRegistry: own('UpdateRegistry', 'PUT', `${REGISTRIES}/{Host}`, {
    summary: 'Changes a registry. A field that is left out stays as it is; empty credentials are removed.',
    body: fields(credentials()),
    response: fields({ Host: said() }),
  }),
  DeleteRegistry: own('DeleteRegistry', 'DELETE', `${REGISTRIES}/{Host}`, {
    summary: 'Forgets a registry and its credentials.',
    response: fields({ Host: said() }),
  }),
  TestRegistry: own('TestRegistry', 'POST', `${REGISTRIES}/{Host}/test`, {
    summary: 'Whether the registry answers, and takes the credentials.',
    response: fields({ Host: said(), Message: said(), Reachable: flag(), Authenticated: flag() }),
  }),
} as const

/** What the documented API has no operation for. */
export const extensionOperations = { ...snapshotExtensions, ...scheduleExtensions, ...registryExtensions } as const
