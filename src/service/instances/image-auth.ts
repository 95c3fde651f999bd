import type { Login } from '#runtime/runtime.ts'
import { invalid } from './invalid.ts'

const MASK = '******'

/** `ImageAuth` of a request: Base64 of `user:password`. The value is in no message. Throws `parameter_invalid`. */
export function parseImageAuth(imageAuth: string): Login {
  const text = Buffer.from(imageAuth, 'base64').toString('utf8')
  const isBase64 = Buffer.from(text, 'utf8').toString('base64').replace(/=+$/, '') === imageAuth.replace(/=+$/, '')
  const colon = text.indexOf(':')
  if (!isBase64 || colon < 1 || colon === text.length - 1)
    throw invalid('ImageAuth', 'must be the Base64 text of USER:PASSWORD')
  return { username: text.slice(0, colon), password: text.slice(colon + 1) }
}

/** As it is answered: the user, and stars for the password. */
export function maskImageAuth({ username }: Login): string {
  return Buffer.from(`${username}:${MASK}`).toString('base64')
}
