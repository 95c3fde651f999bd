import { AppError } from '#base/errors.ts'

interface Refusal {
  readonly words: RegExp
  readonly code: 'container_not_found' | 'insufficient_resource' | 'parameter_invalid'
  readonly message: (words: string) => string
}

/** Engines say why in text only; these are the reasons that somebody who asks for an instance can do something about. */
const REFUSALS: readonly Refusal[] = [
  {
    words: /could not select device driver|nvidia-container-cli|unresolvable CDI devices/i,
    code: 'insufficient_resource',
    message: (words) => `The engine cannot give GPUs to the instance (${words}): install NVIDIA's container toolkit.`,
  },
  {
    words: /range of cpus|minimum memory limit|memory limit .* (?:lower|too)|cannot allocate memory/i,
    code: 'insufficient_resource',
    message: (words) => `The host cannot give what the instance asks for (${words}): ask for less.`,
  },
  {
    words: /bind source path does not exist|error while (?:creating|mounting) (?:mount )?|duplicate mount point/i,
    code: 'parameter_invalid',
    message: (words) => `A directory cannot be mounted into the instance (${words}): check that it is there.`,
  },
  {
    words: /no such container/i,
    code: 'container_not_found',
    message: () => 'The container of the instance is gone: somebody has removed it.',
  },
]

/** For `refuse` of a call: the error that an engine's words mean, undefined for all others. */
export function engineRefusal(status: number, words: string): AppError | undefined {
  if (status === 0) return undefined
  const refusal = REFUSALS.find((each) => each.words.test(words))
  return refusal && new AppError(refusal.code, refusal.message(words.trim()))
}
