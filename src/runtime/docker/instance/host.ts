import { AppError } from '#base/errors.ts'
import { runProgram } from '#base/process.ts'
import type { EngineApi } from '#runtime/docker/api.ts'
import { number, object } from '#runtime/docker/json.ts'
import type { Gpu, GpuRequest, HostFacts } from '#runtime/runtime.ts'

const NVIDIA_SMI_LIMIT_MS = 20_000 // without its persistence mode the driver starts anew for each call
const MIB = 2 ** 20

/** What instances share: cores and memory as the engine counts them, and the GPUs of NVIDIA's driver. */
export async function readHost(api: EngineApi, signal?: AbortSignal): Promise<HostFacts> {
  const [info, gpus] = await Promise.all([api.call('GET', '/info', { signal }), readGpus(signal)])
  const { NCPU, MemTotal } = object(info)
  return { cores: number(NCPU), memoryBytes: number(MemTotal), gpus }
}

/** None where `nvidia-smi` is missing, or finds no driver. */
async function readGpus(signal?: AbortSignal): Promise<readonly Gpu[]> {
  const query = ['--query-gpu=name,memory.total', '--format=csv,noheader,nounits']
  const options = { timeoutMs: NVIDIA_SMI_LIMIT_MS, ...(signal && { signal }) }
  const asked = await runProgram('nvidia-smi', query, options).catch((error: unknown) => {
    if (error instanceof AppError && error.code === 'cancelled') throw error
    return undefined
  })
  if (asked?.exitCode !== 0) return []
  return asked.stdout
    .toString()
    .split('\n')
    .flatMap((line) => {
      const [, model, mebibytes] = /^(.+?), *(\d+)\s*$/.exec(line) ?? []
      return model === undefined ? [] : [{ model, memoryBytes: Number(mebibytes) * MIB }]
    })
}

/**
 * Throws `insufficient_resource` when the host has not got so many GPUs. The engine gives the first ones of the host to
 * whoever asks for a number of them; it does not keep instances apart.
 */
export async function requireGpus(api: EngineApi, request: GpuRequest, signal?: AbortSignal): Promise<void> {
  const gpus = await readGpus(signal)
  // A server in a container of its own may have no nvidia-smi: then the engine decides when it starts the instance.
  if (gpus.length === 0 && (await hasNvidiaRuntime(api, signal))) return
  const wanted = request.type?.toLowerCase() ?? ''
  const fitting = gpus.filter(({ model }) => model.toLowerCase().includes(wanted))
  if (fitting.length >= request.count) return
  const kind = request.type === undefined ? 'GPUs' : `GPUs of type ${request.type}`
  const message = `The host has ${fitting.length} ${kind}, and ${request.count} are asked for: ask for fewer, or another type.`
  throw new AppError('insufficient_resource', message, { details: { gpus: fitting.length, wanted: request.count } })
}

async function hasNvidiaRuntime(api: EngineApi, signal?: AbortSignal): Promise<boolean> {
  const { Runtimes } = object(await api.call('GET', '/info', { signal }))
  return Object.hasOwn(object(Runtimes), 'nvidia')
}
