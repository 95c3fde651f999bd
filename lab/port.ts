import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'

/** How many ports each process has for itself, before it comes to those of another. */
const PORTS_EACH = 20
const FIRST_PORT = 10_000
let given = 0

/**
 * A free loopback port for what has to be told its port, or comes back to it after it was away: below those that the kernel
 * gives to whoever asks for any, so that nobody is given it meanwhile.
 */
export async function steadyPort(): Promise<number> {
  const [firstOfAny = 0] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1').split(/\s/).map(Number)
  const count = firstOfAny - FIRST_PORT
  if (count < PORTS_EACH) return await freePort(0)
  for (let tries = 0; tries < count; tries++) {
    const port = FIRST_PORT + ((process.pid * PORTS_EACH + given++) % count)
    if (await freePort(port).catch(() => 0)) return port
  }
  throw new Error(`No port from ${FIRST_PORT} to ${firstOfAny} is free.`)
}

/** Rejects when it is taken; 0 is any. */
async function freePort(wanted: number): Promise<number> {
  const server = createServer().listen(wanted, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
