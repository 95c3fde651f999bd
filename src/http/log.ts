import { pino } from 'pino'
import type { DestinationStream, Logger } from 'pino'

/** Fields that are never written, whatever object they stand in. */
const SECRET_FIELD =
  /("(?:authorization|proxy-authorization|cookie|set-cookie|imageauth|password|passwd|secret|[a-z_-]*secret|[a-z_-]*token|[a-z_-]*password|signature|privatekey|x-acs-[a-z-]*token|x-acs-signature|x-tintype-csrf)"\s*:\s*)"(?:[^"\\]|\\.)*"/gi
/** Secrets inside a text: credentials in a URL, parameters of signed URLs and RPC requests, authorization headers. */
const IN_TEXT: readonly (readonly [RegExp, string])[] = [
  [/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@"\\]*:[^\s/@"\\]*@/gi, '$1***@'],
  [
    /([?&](?:[a-z0-9_.-]*(?:signature|token|credential|secret|password)|accesskeyid|x-amz-[a-z-]+|sig|state|_state)=)[^&\s"\\]+/gi,
    '$1***',
  ],
  [/\b(ACS3-[A-Z0-9-]+ Credential=)[^"\\]*/g, '$1***'],
  [/\b(acs [\w.-]+:)[A-Za-z0-9+/=]+/g, '$1***'],
  [/\b((?:Bearer|Basic) )[A-Za-z0-9._~+/=-]{6,}/gi, '$1***'],
]

/** A log line without what must not be in it. The last line of defence: what is logged is chosen to have no secrets. */
export function redact(line: string): string {
  const fields = line.replace(SECRET_FIELD, '$1"***"')
  return IN_TEXT.reduce((text, [pattern, instead]) => text.replace(pattern, instead), fields)
}

/** The server's log: one JSON object per line, with `time`, `level`, `msg`. Every line goes through `redact`. */
export function openLog(destination: DestinationStream, level: 'debug' | 'info' | 'silent' = 'info'): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      hooks: { streamWrite: redact },
    },
    destination,
  )
}
