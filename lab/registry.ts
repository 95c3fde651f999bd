import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { AppError } from '#base/errors.ts'
import { goBinary } from '#lab/go.ts'
import { ensurePackages } from '#lab/packages.ts'
import { steadyPort } from '#lab/port.ts'
import { clearWorkspace, mustRun, openWorkspace, startDaemon, stopDaemon, type Workspace } from '#lab/workspace.ts'

export interface RegistryOptions {
  /** Basic authentication: user name to password. */
  readonly users?: Readonly<Record<string, string>>
  /** Files in PEM; `makeCertificate` makes them. */
  readonly tls?: { readonly certificatePath: string; readonly keyPath: string }
  /** Bearer authentication: tokens are signed by the key of this certificate. */
  readonly token?: {
    readonly realm: string
    readonly service: string
    readonly issuer: string
    readonly certificatePath: string
  }
  /** The cache that many installations have, and that answers for blobs which are gone (attacks.md A10). */
  readonly hasBlobCache?: boolean
  /** Whether it deletes manifests and blobs when asked to. Default true. */
  readonly canDelete?: boolean
  /** A port that was seen free; by default one that nobody is given while it is away. */
  readonly port?: number
  /** For a registry that outlives this process. */
  readonly workspace?: Workspace
}

export interface Registry extends AsyncDisposable {
  /** `127.0.0.1:PORT`, as it stands in a reference. */
  readonly host: string
  /** Its storage on this machine. */
  readonly directory: string
  /** What it has logged so far: one line per answer. */
  log(): string
  stop(): Promise<void>
}

export interface DistributionRegistry extends Registry {
  /** Stop and start again on the same port and storage. */
  restart(): Promise<void>
  /** Stop without removing anything, as an outage. `restart` ends it. */
  halt(): Promise<void>
  /** Delete the blobs that no manifest names, while it runs; `untagged`: and first the manifests that no tag stands for. */
  collectGarbage(options?: { readonly untagged: boolean }): Promise<void>
}

/** Debian's docker-registry (CNCF distribution 2.8) on a free loopback port, with storage of its own. */
export async function startRegistry(options: RegistryOptions = {}): Promise<DistributionRegistry> {
  await ensurePackages(['docker-registry', ...(options.users ? ['apache2-utils'] : [])])
  const workspace = options.workspace ?? (await openWorkspace('registry'))
  const directory = `${workspace.directory}/storage`
  const configPath = `${workspace.directory}/registry.yml`
  mkdirSync(directory, { recursive: true })
  const start = async (port: number) => {
    // YAML is a superset of JSON.
    writeFileSync(configPath, JSON.stringify(await configOf(options, workspace, port)))
    const args = ['serve', configPath]
    return await startListening(workspace, { program: 'docker-registry', args, isTls: options.tls !== undefined })
  }
  let running = await start(options.port ?? (await steadyPort()))
  const host = running.host
  const stop = () => clearWorkspace(workspace)
  const halt = () => stopDaemon(running.daemon)
  return {
    host,
    directory,
    log: () => readFileSync(running.daemon.logPath, 'utf8'),
    halt,
    restart: async () => {
      await halt()
      running = await start(Number(host.split(':')[1]))
    },
    collectGarbage: async ({ untagged } = { untagged: false }) => {
      const all = untagged ? ['--delete-untagged'] : []
      await mustRun('docker-registry', ['garbage-collect', ...all, configPath])
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

async function configOf(options: RegistryOptions, { directory }: Workspace, port: number) {
  const { users, tls, token, hasBlobCache, canDelete = true } = options
  const htpasswdPath = `${directory}/htpasswd`
  if (users) writeFileSync(htpasswdPath, (await Promise.all(Object.entries(users).map(htpasswdLine))).join(''))
  return {
    version: '0.1',
    log: { level: 'info', accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: `${directory}/storage` },
      delete: { enabled: canDelete },
      maintenance: { uploadpurging: { enabled: false } },
      ...(hasBlobCache && { cache: { blobdescriptor: 'inmemory' } }),
    },
    http: {
      addr: `127.0.0.1:${port}`,
      secret: 'one registry, one process: any secret does',
      ...(tls && { tls: { certificate: tls.certificatePath, key: tls.keyPath } }),
    },
    ...(users && { auth: { htpasswd: { realm: 'lab', path: htpasswdPath } } }),
    ...(token && {
      auth: {
        token: {
          realm: token.realm,
          service: token.service,
          issuer: token.issuer,
          rootcertbundle: token.certificatePath,
        },
      },
    }),
  }
}

async function htpasswdLine([user, password]: [string, string]): Promise<string> {
  // distribution reads bcrypt (-B) only; cost 4 keeps a test quick.
  const line = await mustRun('htpasswd', ['-inB', '-C', '4', user], { input: password })
  return `${line.toString().trim()}\n`
}

/** The second implementation: go-containerregistry's `registry`, which keeps blobs in memory. Plain HTTP, no login. */
export async function startSecondRegistry(): Promise<Registry> {
  const program = await goBinary('github.com/google/go-containerregistry/cmd/registry@v0.20.6')
  const workspace = await openWorkspace('registry-go')
  const { host, daemon } = await startListening(workspace, { program, args: ['-port', '0'], isTls: false })
  const stop = () => clearWorkspace(workspace)
  return {
    host,
    directory: workspace.directory,
    log: () => readFileSync(daemon.logPath, 'utf8'),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

interface Listening {
  readonly program: string
  readonly args: readonly string[]
  readonly isTls: boolean
}

/** Both registries log the port on which they listen. */
async function startListening(workspace: Workspace, { program, args, isTls }: Listening) {
  let host = ''
  const logStart = startOfLog(`${workspace.directory}/registry.log`)
  const daemon = await startDaemon(workspace, {
    name: 'registry',
    program,
    args,
    isReady: async (log) => {
      const port = /(?:listening on 127\.0\.0\.1:|serving on port )(\d+)/.exec(log.slice(logStart))?.[1]
      host = `127.0.0.1:${port}`
      return port !== undefined && (await answers(host, isTls))
    },
  })
  return { host, daemon }
}

function startOfLog(path: string): number {
  try {
    return readFileSync(path, 'utf8').length
  } catch {
    return 0
  }
}

/** Whether a registry speaks at `host`: 200 on /v2/, or 401 where it asks for a login. */
function answers(host: string, isTls: boolean): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = isTls
      ? httpsRequest(`https://${host}/v2/`, { rejectUnauthorized: false, agent: false })
      : httpRequest(`http://${host}/v2/`, { agent: false })
    asked.on('response', (response) => {
      response.resume()
      resolve(response.statusCode === 200 || response.statusCode === 401)
    })
    asked.on('error', () => resolve(false))
    asked.end()
  })
}

export interface Certificate {
  readonly certificatePath: string
  readonly keyPath: string
  readonly certificate: string
}

/** A self-signed certificate for 127.0.0.1 and a name, in `directory`; also good to sign tokens. */
export async function makeCertificate(directory: string, name = 'localhost'): Promise<Certificate> {
  await ensurePackages(['openssl'])
  const certificatePath = `${directory}/certificate.pem`
  const keyPath = `${directory}/key.pem`
  const subject = ['-subj', '/CN=tintype lab', '-addext', `subjectAltName=IP:127.0.0.1,DNS:${name}`]
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyPath]
  await mustRun('openssl', ['req', '-x509', '-days', '30', ...key, ...subject, '-out', certificatePath])
  const certificate = readFileSync(certificatePath, 'utf8')
  if (!certificate.includes('BEGIN CERTIFICATE')) throw new AppError('internal', 'openssl wrote no certificate.')
  return { certificatePath, keyPath, certificate }
}
