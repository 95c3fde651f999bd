/**
 * How a container is frozen: plain data, so that the watchdog needs nothing but it.
 *
 * `engine`: through the engine's own API (`/containers/ID/pause`), which keeps the engine's idea of the container true
 * (attacks.md A9); `cgroup` is where the same processes can be thawed when the engine does not answer.
 * `cgroup`: the freezer file of a cgroup (v1 `freezer.state`, v2 `cgroup.freeze`).
 */
export type Freezer =
  | { readonly kind: 'engine'; readonly socketPath: string; readonly containerId: string; readonly cgroup?: string }
  | { readonly kind: 'cgroup'; readonly cgroup: string }

/** Which process is frozen: its pid may be given to another process later, its start time with it may not. */
export interface InitProcess {
  readonly pid: number
  /** Field 22 of /proc/PID/stat: clock ticks since boot. */
  readonly startTime: string
}
