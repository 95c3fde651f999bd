import {
  createInstanceBody,
  getInstanceResponse,
  INSTANCE_STATUSES,
  listInstancesResponse,
  OVERSOLD_TYPES,
  updateInstanceBody,
} from './instance-shapes.ts'
import { dsw } from './operation.ts'
import { anything, fields, flag, list, listed, map, oneOf, said, text } from './schema.ts'
import { accessibility, id, labels, order, page64, time, workspaceId } from './shapes.ts'

const INSTANCE = '/api/v2/instances/{InstanceId}'
/** Thousandths of a core or GPU, or GiB of memory, as text: ListInstances' lower and upper bounds. */
const amount = () => text({ max: 20, pattern: '^\\d{1,15}(?:\\.\\d{1,3})?$', rule: 'a number' })
const answered = () => fields({ InstanceId: said() })
const batchAnswered = () => fields({ InstanceIds: listed(said()), AccessDeniedDetail: map(said()) })

/** RAM knows the rights to create, change and delete by how an instance is paid; dsw-api §9 row 18. */
const byPayment = (verb: 'Create' | 'Update' | 'Delete') => ({
  aliases: [`paidsw:${verb}PostPaidInstance`, `paidsw:${verb}PrePaidInstance`],
})

const listQuery = fields(
  {
    AcceleratorType: oneOf('CPU', 'GPU'),
    Accessibility: accessibility(),
    CreateTimeAfter: time(),
    CreateTimeBefore: time(),
    CreateUserId: id(),
    GpuType: text(),
    ImageName: text(),
    InstanceId: text(),
    InstanceName: text(),
    Labels: map(anything()),
    MaxCpu: amount(),
    MaxGpu: amount(),
    MaxGpuMemory: amount(),
    MaxMemory: amount(),
    MinCpu: amount(),
    MinGpu: amount(),
    MinGpuMemory: amount(),
    MinMemory: amount(),
    Order: order(),
    OversoldInfo: oneOf('ForbiddenQuotaOverSold', 'ForceQuotaOverSold', 'PendingQuotaOverSold'),
    OversoldType: oneOf(...OVERSOLD_TYPES),
    PaymentType: oneOf('PayAsYouGo', 'Subscription'),
    ResourceId: id(),
    SortBy: oneOf('Priority', 'GmtCreateTime', 'GmtModifiedTime'),
    Status: oneOf(...INSTANCE_STATUSES),
    Tag: labels(),
    WorkspaceId: workspaceId(),
  },
  page64(),
)

/** Instances: made, listed, changed, started, stopped, deleted; and their labels. */
export const instanceOperations = {
  CreateInstance: dsw('CreateInstance', 'POST', '/api/v2/instances', {
    summary: 'Makes an instance from an image and starts it. Answers at once; the instance is followed by its status.',
    body: createInstanceBody(),
    response: answered(),
    ram: byPayment('Create'),
  }),
  GetInstance: dsw('GetInstance', 'GET', INSTANCE, {
    summary: 'One instance, its status and its latest snapshots.',
    query: fields({ Fields: text(), Token: text({ secret: true }) }),
    response: getInstanceResponse(),
  }),
  ListInstances: dsw('ListInstances', 'GET', '/api/v2/instances', {
    summary: 'The instances that the caller may see, filtered, sorted, page by page.',
    query: listQuery,
    jsonQuery: ['Labels', 'Tag'],
    response: listInstancesResponse(),
  }),
  UpdateInstance: dsw('UpdateInstance', 'PUT', INSTANCE, {
    summary: 'Changes an instance. A field that is left out stays as it is.',
    body: updateInstanceBody(),
    response: answered(),
    ram: byPayment('Update'),
  }),
  StartInstance: dsw('StartInstance', 'PUT', `${INSTANCE}/start`, {
    summary: 'Starts an instance that is Stopped or Failed.',
    response: answered(),
  }),
  StopInstance: dsw('StopInstance', 'PUT', `${INSTANCE}/stop`, {
    summary: 'Stops an instance, with SaveImage=true after its image is saved.',
    query: fields({ SaveImage: flag() }),
    response: answered(),
  }),
  DeleteInstance: dsw('DeleteInstance', 'DELETE', INSTANCE, {
    summary: 'Deletes an instance and what it holds. Its snapshots stay.',
    response: answered(),
    ram: byPayment('Delete'),
  }),
  StopInstances: dsw('StopInstances', 'PUT', '/api/v2/batch/instances/stop', {
    summary: 'Stops several instances.',
    body: fields({}, { InstanceIds: list(id()) }),
    response: batchAnswered(),
    ram: { aliases: ['paidsw:StopInstance'] },
  }),
  DeleteInstances: dsw('DeleteInstances', 'PUT', '/api/v2/batch/instances/delete', {
    summary: 'Deletes several instances.',
    body: fields({ InstanceIds: list(id()) }),
    response: fields({ InstanceIds: listed(said()), AccessDeniedDetail: map(anything()) }),
    ram: { aliases: ['paidsw:DeleteInstance', ...byPayment('Delete').aliases] },
  }),
  UpdateInstanceLabels: dsw('UpdateInstanceLabels', 'PUT', `${INSTANCE}/labels`, {
    summary: 'Adds labels to an instance, and replaces those whose key it has.',
    body: fields({}, { Labels: list(fields({}, { Key: text({ min: 1, max: 256 }), Value: text() })) }),
    envelope: 'requestId',
  }),
  DeleteInstanceLabels: dsw('DeleteInstanceLabels', 'DELETE', `${INSTANCE}/labels`, {
    summary: 'Removes labels from an instance.',
    query: fields({}, { LabelKeys: text({ min: 1 }) }),
    envelope: 'requestId',
  }),
} as const
