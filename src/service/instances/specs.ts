import type { HostFacts } from '#runtime/runtime.ts'

/** A size that an instance can have, by the name of a machine of Alibaba Cloud. */
export interface InstanceSize {
  readonly name: string
  readonly cpu: number
  readonly memoryGib: number
  readonly gpu: number
  /** A part of the model's name; empty without GPUs. */
  readonly gpuType: string
}

export interface OfferedSize extends InstanceSize {
  readonly gpuMemoryGib: number
  /** What is free now is enough for one more. */
  readonly isAvailable: boolean
}

export interface UsedResources {
  readonly cpuMilli: number
  readonly memoryBytes: number
  readonly gpuCount: number
}

const GIB = 2 ** 30
const MILLI = 1000

const cpu = (name: string, cores: number, memoryGib: number): InstanceSize => ({
  name,
  cpu: cores,
  memoryGib,
  gpu: 0,
  gpuType: '',
})
const gpu = (name: string, size: readonly [number, number], count: number, gpuType: string): InstanceSize => ({
  name,
  cpu: size[0],
  memoryGib: size[1],
  gpu: count,
  gpuType,
})

/** Names and sizes as in Alibaba Cloud's "Overview of instance families": scripts written for it find what they name. */
export const SIZES: readonly InstanceSize[] = [
  cpu('ecs.n4.small', 1, 2),
  cpu('ecs.t6-c1m1.large', 2, 2),
  cpu('ecs.c6.large', 2, 4),
  cpu('ecs.g6.large', 2, 8),
  cpu('ecs.r6.large', 2, 16),
  cpu('ecs.c6.xlarge', 4, 8),
  cpu('ecs.g6.xlarge', 4, 16),
  cpu('ecs.r6.xlarge', 4, 32),
  cpu('ecs.c6.2xlarge', 8, 16),
  cpu('ecs.g6.2xlarge', 8, 32),
  cpu('ecs.r6.2xlarge', 8, 64),
  cpu('ecs.g6.4xlarge', 16, 64),
  cpu('ecs.g6.8xlarge', 32, 128),
  cpu('ecs.g6.13xlarge', 52, 192),
  cpu('ecs.g6.26xlarge', 104, 384),
  gpu('ecs.gn6i-c4g1.xlarge', [4, 15], 1, 'T4'),
  gpu('ecs.gn6i-c24g1.12xlarge', [48, 186], 2, 'T4'),
  gpu('ecs.gn6v-c8g1.2xlarge', [8, 32], 1, 'V100'),
  gpu('ecs.gn6v-c8g1.8xlarge', [32, 128], 4, 'V100'),
  gpu('ecs.gn6v-c8g1.16xlarge', [64, 256], 8, 'V100'),
  gpu('ecs.gn7i-c8g1.2xlarge', [8, 30], 1, 'A10'),
  gpu('ecs.gn7i-c32g1.32xlarge', [128, 752], 4, 'A10'),
  gpu('ecs.gn7e-c16g1.4xlarge', [16, 125], 1, 'A100'),
  gpu('ecs.gn7e-c16g1.16xlarge', [64, 500], 4, 'A100'),
  gpu('ecs.gn7e-c16g1.32xlarge', [128, 1000], 8, 'A100'),
]

/** Undefined: there is no such size. */
export function findSize(name: string): InstanceSize | undefined {
  return SIZES.find((size) => size.name === name)
}

/** The sizes that this host can give, the smallest first. */
export function offeredSizes(host: HostFacts, used: UsedResources): readonly OfferedSize[] {
  return SIZES.flatMap((size) => {
    const gpus = gpusOf(host, size.gpuType)
    const fits = size.cpu <= host.cores && size.memoryGib * GIB <= host.memoryBytes && size.gpu <= gpus.length
    if (!fits) return []
    const isAvailable =
      size.cpu * MILLI + used.cpuMilli <= host.cores * MILLI &&
      size.memoryGib * GIB + used.memoryBytes <= host.memoryBytes &&
      (size.gpu === 0 || size.gpu + used.gpuCount <= host.gpus.length)
    const gpuMemoryGib = size.gpu === 0 ? 0 : (gpus[0]?.memoryBytes ?? 0) / GIB
    return [{ ...size, gpuMemoryGib, isAvailable }]
  })
}

/** "A10" is not "A100": the type must end where the name's word ends. */
function gpusOf(host: HostFacts, type: string): HostFacts['gpus'] {
  if (type === '') return host.gpus
  const words = new RegExp(`(?<![a-z0-9])${RegExp.escape(type)}(?![a-z0-9])`, 'i')
  return host.gpus.filter(({ model }) => words.test(model))
}
