import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { ensurePackages } from '#lab/packages.ts'
import { steadyPort } from '#lab/port.ts'
import { clearWorkspace, mustRun, openWorkspace, startDaemon } from '#lab/workspace.ts'

export interface ProxyOptions {
  /** Names that only the proxy knows, all on loopback. */
  readonly names: readonly string[]
  /** User name to password; absent: everybody may use it. */
  readonly users?: Readonly<Record<string, string>>
}

export interface Proxy extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string
  /** One line for each connection and request that it has led on, or refused. */
  log(): string
}

/** Squid as a company has it: the way out for HTTP and, by CONNECT, for TLS to any port. */
export async function startProxy({ names, users }: ProxyOptions): Promise<Proxy> {
  await ensurePackages(['squid', ...(users ? ['apache2-utils'] : [])])
  const workspace = await openWorkspace('proxy')
  const { directory } = workspace
  chmodSync(directory, 0o777) // it gives up root, and writes its logs here
  const write = (name: string, lines: readonly string[]) => {
    writeFileSync(`${directory}/${name}`, `${lines.join('\n')}\n`)
    return `${directory}/${name}`
  }
  const hosts = write('hosts', [`127.0.0.1 localhost ${names.join(' ')}`])
  const login = Object.entries(users ?? {}).map(([user, password]) =>
    mustRun('htpasswd', ['-nib', user, password]).then((line) => line.toString().trim()),
  )
  const passwords = write('passwords', await Promise.all(login))
  const port = await steadyPort()
  const accessLog = `${directory}/access.log`
  const config = write('squid.conf', [
    `http_port 127.0.0.1:${port}`,
    `hosts_file ${hosts}`,
    `access_log stdio:${accessLog}`,
    `cache_log ${directory}/cache.log`,
    'buffered_logs off',
    'pid_filename none',
    'cache deny all',
    'shutdown_lifetime 0 seconds',
    ...(users
      ? [
          `auth_param basic program /usr/lib/squid/basic_ncsa_auth ${passwords}`,
          'acl known proxy_auth REQUIRED',
          'http_access allow known',
        ]
      : ['http_access allow all']),
  ])
  await startDaemon(workspace, {
    name: 'squid',
    program: '/usr/sbin/squid',
    args: ['-N', '-f', config],
    isReady: () => answers(port),
  })
  return {
    host: `127.0.0.1:${port}`,
    log: () => readFileSync(accessLog, 'utf8'),
    [Symbol.asyncDispose]: () => clearWorkspace(workspace),
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = (isThere: boolean) => {
      socket.destroy()
      resolve(isThere)
    }
    socket.once('connect', () => end(true)).once('error', () => end(false))
  })
}
