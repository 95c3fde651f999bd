/** The workspace of whoever names none: there are no workspaces to make here, only to tell apart. */
export const DEFAULT_WORKSPACE = '1'
