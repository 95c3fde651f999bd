import { mustRun } from '#lab/workspace.ts'

/** Install one package of npm, such as `name@1.2.3`, into `directory`; nothing of it is run. Returns its `node_modules`. */
export async function installFromNpm(directory: string, spec: string): Promise<string> {
  const quiet = ['--no-audit', '--no-fund', '--no-save', '--ignore-scripts', '--loglevel=error']
  await mustRun('npm', ['install', '--prefix', directory, ...quiet, spec])
  return `${directory}/node_modules`
}
