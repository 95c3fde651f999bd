/** The commands that speak to a server: known without loading what they need. */
export const API_GROUPS = ['instance', 'image', 'user', 'policy', 'registry', 'schedule'] as const

/**
 * `tintype snapshot` has two meanings. With one of these as its next word it speaks to a server, with anything else that
 * is a container of this host: one that is named like a verb is reached by its id, or after `--`.
 */
export const SNAPSHOT_VERBS = ['create', 'list', 'get', 'delete', 'cancel', 'watch', 'preview'] as const

/** Whether a command line is for a server. */
export function isForServer([command, verb]: readonly string[]): boolean {
  const has = (words: readonly string[], word: string | undefined) => word !== undefined && words.includes(word)
  return has(API_GROUPS, command) || (command === 'snapshot' && has(SNAPSHOT_VERBS, verb))
}
