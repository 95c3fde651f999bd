import type { Server } from 'node:net'
import { AppError, systemCode } from '#base/errors.ts'
import type { ListenAddress } from '#config/values.ts'

const WHY: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there',
  EADDRNOTAVAIL: 'this machine has no such address',
  EACCES: 'this user may not listen there',
}

/** Listen on `address`; the URL with the port that was given. Throws `config_invalid`, naming the `setting`. */
export function listen(server: Server, { host, port }: ListenAddress, setting: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const onError = (cause: unknown) => {
      const code = systemCode(cause) ?? 'unknown'
      const why = WHY[code] ?? `it answers ${code}`
      const message = `${setting} cannot be ${host}:${port}: ${why}.`
      reject(new AppError('config_invalid', message, { cause, details: { field: setting } }))
    }
    server.once('error', onError)
    server.listen({ host, port }, () => {
      server.off('error', onError)
      const address = server.address()
      const bound = typeof address === 'object' && address !== null ? address.port : port
      resolve(`http://${host.includes(':') ? `[${host}]` : host}:${bound}`)
    })
  })
}
