/** Everything that can go wrong, by name: its kind, and whether trying again can help. `http` and `cli` map kinds, never codes. */
export const ERRORS = {
  usage_invalid: { kind: 'invalid', retry: false },
  config_invalid: { kind: 'invalid', retry: false },
  reference_invalid: { kind: 'invalid', retry: false },
  digest_invalid: { kind: 'invalid', retry: false },
  exclusion_invalid: { kind: 'invalid', retry: false },
  policy_invalid: { kind: 'invalid', retry: false },
  arn_invalid: { kind: 'invalid', retry: false },
  signature_incomplete: { kind: 'invalid', retry: false },
  signature_unsupported: { kind: 'invalid', retry: false },
  timestamp_invalid: { kind: 'invalid', retry: false },
  validation_failed: { kind: 'invalid', retry: false },
  parameter_invalid: { kind: 'invalid', retry: false },
  registry_not_allowed: { kind: 'invalid', retry: false },
  request_invalid: { kind: 'invalid', retry: false },
  request_too_large: { kind: 'invalid', retry: false },
  operation_not_found: { kind: 'not_found', retry: false },
  rate_exceeded: { kind: 'throttled', retry: true },
  container_not_found: { kind: 'not_found', retry: false },
  base_not_found: { kind: 'not_found', retry: false },
  image_not_found: { kind: 'not_found', retry: false },
  instance_not_found: { kind: 'not_found', retry: false },
  snapshot_not_found: { kind: 'not_found', retry: false },
  schedule_not_found: { kind: 'not_found', retry: false },
  registry_not_found: { kind: 'not_found', retry: false },
  identity_not_found: { kind: 'not_found', retry: false },
  tag_exists: { kind: 'conflict', retry: false },
  capture_in_progress: { kind: 'conflict', retry: true },
  snapshot_in_progress: { kind: 'conflict', retry: true },
  snapshot_finished: { kind: 'conflict', retry: false },
  instance_not_running: { kind: 'conflict', retry: true },
  image_in_use: { kind: 'conflict', retry: false },
  name_taken: { kind: 'conflict', retry: false },
  identity_exists: { kind: 'conflict', retry: false },
  identity_in_use: { kind: 'conflict', retry: false },
  quota_exceeded: { kind: 'conflict', retry: false },
  permission_denied: { kind: 'denied', retry: false },
  access_key_not_found: { kind: 'denied', retry: false },
  session_invalid: { kind: 'denied', retry: false },
  csrf_invalid: { kind: 'denied', retry: false },
  access_key_inactive: { kind: 'denied', retry: false },
  signature_mismatch: { kind: 'denied', retry: false },
  timestamp_expired: { kind: 'denied', retry: false },
  nonce_used: { kind: 'denied', retry: false },
  security_token_missing: { kind: 'denied', retry: false },
  security_token_malformed: { kind: 'denied', retry: false },
  security_token_expired: { kind: 'denied', retry: false },
  security_token_mismatched: { kind: 'denied', retry: false },
  not_permitted: { kind: 'denied', retry: false },
  container_not_running: { kind: 'unsupported', retry: false },
  container_paused: { kind: 'unsupported', retry: false },
  overlay_unsupported: { kind: 'unsupported', retry: false },
  image_unsupported: { kind: 'unsupported', retry: false },
  limit_exceeded: { kind: 'unsupported', retry: false },
  freeze_budget_exceeded: { kind: 'unsupported', retry: true },
  freeze_failed: { kind: 'unavailable', retry: true },
  snapshot_interrupted: { kind: 'unavailable', retry: true },
  container_gone: { kind: 'unavailable', retry: true },
  store_unavailable: { kind: 'unavailable', retry: true },
  store_unsupported: { kind: 'unsupported', retry: false },
  lease_lost: { kind: 'unavailable', retry: true },
  engine_unavailable: { kind: 'unavailable', retry: true },
  server_unavailable: { kind: 'unavailable', retry: true },
  answer_invalid: { kind: 'unavailable', retry: false },
  registry_unavailable: { kind: 'registry', retry: true },
  registry_denied: { kind: 'registry', retry: false },
  registry_refused: { kind: 'registry', retry: false },
  registry_untrusted: { kind: 'registry', retry: false },
  blob_missing: { kind: 'registry', retry: true },
  digest_mismatch: { kind: 'registry', retry: false },
  layout_invalid: { kind: 'registry', retry: false },
  spool_full: { kind: 'no_space', retry: false },
  layer_too_large: { kind: 'unsupported', retry: false },
  layout_full: { kind: 'no_space', retry: false },
  cancelled: { kind: 'cancelled', retry: true },
  instance_state_invalid: { kind: 'conflict', retry: false },
  instance_resource_not_found: { kind: 'not_found', retry: false },
  instance_resource_exists: { kind: 'conflict', retry: false },
  insufficient_resource: { kind: 'unsupported', retry: false },
  reader_failed: { kind: 'internal', retry: true },
  capture_lost: { kind: 'internal', retry: true },
  layer_invalid: { kind: 'internal', retry: false },
  internal: { kind: 'internal', retry: false },
} as const

export type ErrorCode = keyof typeof ERRORS
export type ErrorKind = (typeof ERRORS)[ErrorCode]['kind']
/** What a program needs to know: what, where, which side. Never a secret, never a signed URL. */
export type Details = Readonly<Record<string, string | number | boolean | readonly string[]>>

export interface AppErrorOptions {
  readonly details?: Details
  readonly cause?: unknown
}

/** The only error we throw. `message` is one sentence for a person, with the remedy; `code` and `details` are for a program. */
export class AppError extends Error {
  override readonly name = 'AppError'
  readonly code: ErrorCode
  readonly details: Details

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.code = code
    this.details = options.details ?? {}
  }

  get kind(): ErrorKind {
    return ERRORS[this.code].kind
  }

  get retry(): boolean {
    return ERRORS[this.code].retry
  }
}

/** `error` as an AppError: itself, or `internal` with the original as its cause. An abort becomes `cancelled`. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error
  // What tidying up threw hides what came first; the last is told where it is known, as a container that stays frozen is.
  if (error instanceof SuppressedError)
    return toAppError(error.error instanceof AppError ? error.error : error.suppressed)
  if (error instanceof Error && error.name === 'AbortError')
    return new AppError('cancelled', 'Cancelled.', { cause: error })
  const text = error instanceof Error ? error.message : String(error)
  return new AppError('internal', `Unexpected: ${text}`, { cause: error })
}

/** The `code` of a Node system error (`ENOENT` …), or undefined. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
