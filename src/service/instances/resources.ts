import type { RequestedResource } from '#store/instance-record.ts'
import { invalid } from './invalid.ts'
import { findSize } from './specs.ts'

/** How much an instance may use. Null: as much as the host has. */
export interface Resources {
  readonly cpuMilli: number | null
  readonly memoryBytes: number | null
  readonly sharedMemoryBytes?: number
  readonly gpuCount: number
  readonly gpuType: string
  readonly acceleratorType: 'CPU' | 'GPU'
}

const GIB = 2 ** 30
const MILLI = 1000
const MAX_CPUS = 4096
const MAX_GPUS = 64
const MIN_MEMORY = 16 * 2 ** 20 // Docker refuses less than 6 MB; a shell and an init need about this much
const MAX_MEMORY = 2 ** 50
const POWERS: Readonly<Record<string, number>> = { '': 30, K: 10, M: 20, G: 30, T: 40 }

/** The resources of a named size. Throws `parameter_invalid`. */
export function resourcesOfSize(ecsSpec: string): Resources {
  const size = findSize(ecsSpec)
  if (!size) throw invalid('EcsSpec', `${JSON.stringify(ecsSpec)} is not known: ListEcsSpecs lists those that are`)
  return {
    cpuMilli: size.cpu * MILLI,
    memoryBytes: size.memoryGib * GIB,
    gpuCount: size.gpu,
    gpuType: size.gpuType,
    acceleratorType: size.gpu > 0 ? 'GPU' : 'CPU',
  }
}

/** The resources that were asked for one by one. Throws `parameter_invalid`, naming the field. */
export function resourcesOfRequest(requested: RequestedResource): Resources {
  const { cpu, memory, sharedMemory, gpu, gpuType = '' } = requested
  const gpuCount = gpu === undefined || gpu === '' ? 0 : parseGpus(gpu)
  if (gpuCount === 0 && gpuType !== '')
    throw invalid('RequestedResource.GPUType', 'needs a RequestedResource.GPU of at least 1')
  return {
    cpuMilli: cpu === undefined || cpu === '' ? null : parseCpus(cpu),
    memoryBytes: memory === undefined || memory === '' ? null : parseMemory('RequestedResource.Memory', memory),
    ...(sharedMemory !== undefined &&
      sharedMemory !== '' && { sharedMemoryBytes: parseMemory('RequestedResource.SharedMemory', sharedMemory) }),
    gpuCount,
    gpuType,
    acceleratorType: gpuCount > 0 ? 'GPU' : 'CPU',
  }
}

/** What an instance of a named size could have asked for, part by part. */
export function requestOf(
  has: Pick<Resources, 'gpuCount' | 'gpuType' | 'cpuMilli' | 'memoryBytes'>,
): RequestedResource {
  const { cpuMilli, memoryBytes, gpuCount, gpuType } = has
  return {
    ...(cpuMilli !== null && { cpu: `${cpuMilli / MILLI}` }),
    ...(memoryBytes !== null && { memory: `${memoryBytes / GIB}Gi` }),
    ...(gpuCount > 0 && { gpu: `${gpuCount}` }),
    ...(gpuCount > 0 && gpuType !== '' && { gpuType }),
  }
}

/** Cores as `4`, `0.5` or `500m`, in thousandths. */
function parseCpus(text: string): number {
  const [, number = '', milli] = /^(\d{1,7}(?:\.\d{1,3})?)(m)?$/.exec(text) ?? []
  const cpuMilli = Math.round(Number(number) * (milli === undefined ? MILLI : 1))
  if (number !== '' && cpuMilli >= 10 && cpuMilli <= MAX_CPUS * MILLI) return cpuMilli
  throw invalid('RequestedResource.CPU', `must be a number of cores from 0.01 to ${MAX_CPUS}, such as 4 or 0.5`)
}

function parseGpus(text: string): number {
  if (/^\d{1,3}$/.test(text) && Number(text) <= MAX_GPUS) return Number(text)
  throw invalid('RequestedResource.GPU', `must be a whole number of GPUs up to ${MAX_GPUS}`)
}

/** A size in bytes: `32` and `32Gi` and `32GB` are 32 GiB. Throws `parameter_invalid`. */
export function parseMemory(field: string, text: string): number {
  const [, number, unit = ''] = /^(\d{1,9}(?:\.\d{1,3})?)([KMGT]?)(?:i?B?)$/i.exec(text) ?? []
  const bytes = Math.round(Number(number) * 2 ** (POWERS[unit.toUpperCase()] ?? Number.NaN))
  if (bytes >= MIN_MEMORY && bytes <= MAX_MEMORY) return bytes
  throw invalid(field, 'must be a size from 16Mi to 1024Ti, such as 8Gi')
}
