import { dsw } from './operation.ts'
import { anything, fields, int32, int64, list, listed, map, said, text } from './schema.ts'
import { id, idleCuller, shutdownTimer, time } from './shapes.ts'

const CULLER = '/api/v2/instances/{InstanceId}/idleinstanceculler'
const TIMER = '/api/v2/instances/{InstanceId}/shutdowntimer'
const answered = () => fields({ InstanceId: said() })
const percent = () => int32({ min: 1, max: 100 })

/** Instances that stop by themselves: when they are idle, and at a time. */
export const shutdownOperations = {
  CreateIdleInstanceCuller: dsw('CreateIdleInstanceCuller', 'POST', CULLER, {
    summary: 'Stops the instance when it has been idle for MaxIdleTimeInMinutes.',
    body: fields({
      CpuPercentThreshold: percent(),
      GpuPercentThreshold: percent(),
      MaxIdleTimeInMinutes: int32({ min: 1 }),
    }),
    response: answered(),
    envelope: 'noStatus',
  }),
  GetIdleInstanceCuller: dsw('GetIdleInstanceCuller', 'GET', CULLER, {
    summary: 'When the instance counts as idle, and how long it has been.',
    response: idleCuller(),
    envelope: 'noStatus',
  }),
  DeleteIdleInstanceCuller: dsw('DeleteIdleInstanceCuller', 'DELETE', CULLER, {
    summary: 'The instance is no longer stopped when it is idle.',
    response: answered(),
    envelope: 'noStatus',
  }),
  CreateInstanceShutdownTimer: dsw('CreateInstanceShutdownTimer', 'POST', TIMER, {
    summary: 'Stops the instance at DueTime, or after RemainingTimeInMs.',
    body: fields({ DueTime: time(), RemainingTimeInMs: int64({ min: 1 }) }),
    response: answered(),
  }),
  GetInstanceShutdownTimer: dsw('GetInstanceShutdownTimer', 'GET', TIMER, {
    summary: 'When the instance will be stopped.',
    response: shutdownTimer(),
  }),
  DeleteInstanceShutdownTimer: dsw('DeleteInstanceShutdownTimer', 'DELETE', TIMER, {
    summary: 'The instance is no longer stopped at a time.',
    response: answered(),
  }),
  QueryAutoShutdownPolicies: dsw('QueryAutoShutdownPolicies', 'PUT', '/api/v2/batch/autoshutdownpolicies/query', {
    summary: 'What will stop these running instances by itself.',
    query: fields({ InstanceId: id(), Token: text({ secret: true }) }),
    body: fields({ InstanceIds: list(id()) }),
    response: fields({
      AutoShutdownPolicies: listed(
        fields({
          Conditions: listed(fields({ Context: map(anything()), Expression: said(), SourceType: said() })),
          Context: map(anything()),
          Expression: said(),
          InstanceId: said(),
          SourceType: said(),
        }),
      ),
    }),
    envelope: 'requestId',
    isChange: false,
  }),
} as const
