import { isForServer } from './api-groups.ts'
import { API_HELP, API_SNAPSHOT_HELP } from './help-api.ts'

const GENERAL = `Tintype saves a running container as an image in a registry, with a pause of milliseconds.

Usage:
  tintype snapshot CONTAINER REFERENCE [options]   save a container as an image
  tintype preview CONTAINER [options]              show what a snapshot would take
  tintype squash REFERENCE [TARGET] [options]      make one layer of those that an image has above its base
  tintype doctor [REFERENCE] [--json]              check what this host can do
  tintype login REGISTRY                           keep a login for a registry
  tintype serve [--config FILE]                    run the server
  tintype help [COMMAND]                           explain a command
  tintype --version                                print the version

With a server:
  tintype configure                                keep a server and a key for it
  tintype instance COMMAND                         dev containers that the server runs
  tintype snapshot COMMAND INSTANCE                save them: create, list, get, delete, cancel, watch, preview
  tintype schedule COMMAND                         save them again and again
  tintype image COMMAND                            the catalogue of images
  tintype registry COMMAND                         where the server may push
  tintype user COMMAND, tintype policy COMMAND     who may do what

A first try:
  sudo tintype doctor
  sudo tintype preview my-container
  sudo tintype snapshot my-container registry.example.com/team/my-container:v1

Environment:
  DOCKER_HOST     the engine's socket on this host (unix:///var/run/docker.sock)
  TINTYPE_HOME    where images wait on their way to the registry (/var/lib/tintype)
  DOCKER_CONFIG   where the logins of registries are (~/.docker)
  TINTYPE_PROFILE, TINTYPE_ENDPOINT, TINTYPE_ACCESS_KEY_ID, TINTYPE_ACCESS_KEY_SECRET, TINTYPE_SECURITY_TOKEN
                  the server and the key, instead of a profile

`

const EXIT_CODES = `Exit codes:
    0  done
    1  unexpected: please report it
    2  usage: an option, a reference or a setting is wrong
    3  not found: the container, an image, or what the server was asked for
    4  conflict: the tag exists, or another snapshot is under way
    5  refused: not supported, not permitted, no engine, no server, or longer frozen than allowed
    6  registry: it refuses or does not answer
    7  saved, but some files changed while they were read (--no-freeze)
    8  no space left
  130  cancelled (Ctrl-C)
`

const SNAPSHOT = `Usage: tintype snapshot CONTAINER REFERENCE [options]

Saves what a container changed as layers on its base image, and pushes the image. The container keeps running; it is
frozen for some milliseconds, so that all files are of one moment. Instances of a server: tintype help snapshot create.

  CONTAINER   name or id; after "--" one that is named create, list, get, delete, cancel, watch or preview
  REFERENCE   where the image goes: registry.example.com/team/name:tag (without a tag: latest),
              or oci:DIRECTORY:TAG for an OCI image layout on disk

Options:
  --name NAME           title of the image
  --description TEXT    description of the image
  --label KEY=VALUE     label of the image; may be repeated
  --exclude PATH        leave out a file or directory, an absolute path in the container; may be repeated
  --overwrite           move the tag if it exists
  --compression KIND    auto, zstd, gzip or none (auto: gzip, which every engine reads)
  --level N             how hard to compress: 1 (fastest) to 9, with zstd to 19
  --full                save everything, even if an earlier snapshot could be continued
  --single-pass         freeze for the whole read: nothing that is deleted meanwhile enters the image
  --no-freeze           never freeze: files that change while they are read may be torn, and are named
  --max-freeze-ms N     fail rather than freeze longer (2000)
  --json                print one JSON object instead of text
  --quiet               show no progress

Examples:
  sudo tintype snapshot notebook registry.example.com/ann/notebook:friday
  sudo tintype snapshot notebook localhost:5000/notebook --exclude /root/.cache --exclude /tmp
  sudo tintype snapshot notebook oci:/backup/images:notebook --compression zstd

Not saved:
  - volumes, bind mounts and tmpfs: the result names them
  - memory and running processes: the image starts anew
  - the container's own environment, command and limits: they come from the base image
  - sockets, and what --exclude names: there the base image's version stays

`

const PREVIEW = `Usage: tintype preview CONTAINER [options]

Shows what a snapshot would take: how much, the largest directories and files, what is excluded, what looks like a
secret, and what cannot be saved. Reads no file and freezes nothing.

Options:
  --exclude PATH   leave out a file or directory, an absolute path in the container; may be repeated
  --json           print one JSON object instead of text

Example:
  sudo tintype preview notebook --exclude /root/.cache

`

const SQUASH = `Usage: tintype squash REFERENCE [TARGET] [options]

Makes one layer of those that lie above an image's base, and pushes the image: what was overwritten or deleted on the way
is gone from it, all else is as it was. Needs neither root nor an engine. The base's layers stay as they are.

  REFERENCE   the image: registry.example.com/team/name:tag, …/name@sha256:… or oci:DIRECTORY:TAG
  TARGET      where the squashed image goes; without it the tag REFERENCE moves, which needs --overwrite

Options:
  --onto BASE          keep the layers of this image, on which REFERENCE was built; without it those that the image itself
                       says it was built on (one that Tintype did not make says nothing: all its layers become one)
  --overwrite          move the tag if it exists
  --compression KIND   auto, zstd, gzip or none (auto: gzip, which every engine reads)
  --level N            how hard to compress: 1 (fastest) to 9, with zstd to 19
  --json               print one JSON object instead of text
  --quiet              show no progress

Examples:
  tintype squash registry.example.com/ann/notebook:friday --overwrite
  tintype squash localhost:5000/app:built localhost:5000/app:small --onto docker.io/library/debian:12

`

const DOCTOR = `Usage: tintype doctor [REFERENCE] [--json]

Checks what this host can do, and says what to do about the rest: user, Node, engine, storage driver, overlay, freezer,
kernel, TINTYPE_HOME, ISA-L, programs. Thaws containers that a killed run left frozen. With a REFERENCE it asks that
registry, too. Ends with 0, or with 5 when something needed is missing.

Examples:
  sudo tintype doctor
  sudo tintype doctor registry.example.com/team/name:tag --json

`

const LOGIN = `Usage: tintype login REGISTRY [options]

Asks for a user name and a password, tries them, and keeps them where "docker login" does: in the credential helper that
the Docker configuration names, else in its file.

Options:
  --username NAME    the user name
  --password-stdin   read the password from standard input

Examples:
  tintype login registry.example.com
  tintype login localhost:5000 --username ann --password-stdin < password.txt

`

const SERVE = `Usage: tintype serve [--config FILE]

Runs the server: the PAI-DSW API, the image operations of AIWorkSpace, and the users, keys and policies of RAM. It prints
where it is and where the first access key lies. Its log goes to standard error, one JSON object per line. The first
Ctrl-C or SIGTERM stops it within 30 seconds: captures come to a safe end, nothing stays frozen. The second ends it at once.

Options:
  --config FILE   a YAML file with the names of the environment in lower case; the environment goes before it

Environment (all of it: docs/cli.md):
  TINTYPE_LISTEN       where it listens (127.0.0.1:8080)
  TINTYPE_REGISTRIES   the registries that it may push to (those of this host)
  TINTYPE_DATABASE     sqlite:PATH or postgres://… (a file in TINTYPE_HOME)

Examples:
  sudo tintype serve
  sudo TINTYPE_REGISTRIES=registry.example.com tintype serve --config /etc/tintype.yaml

`

const COMMANDS: ReadonlyMap<string, string> = new Map([
  ['snapshot', SNAPSHOT],
  ['preview', PREVIEW],
  ['squash', SQUASH],
  ['doctor', DOCTOR],
  ['login', LOGIN],
  ['serve', SERVE],
  ...API_HELP,
])

export const COMMAND_NAMES: readonly string[] = [...COMMANDS.keys(), 'help']

/** The help of a command, or of Tintype as a whole. `word`: what follows the command, since `snapshot` has two meanings. */
export function helpFor(command: string | undefined, word?: string): string {
  if (command === 'snapshot' && word !== undefined && isForServer([command, word]))
    return API_SNAPSHOT_HELP + EXIT_CODES
  return ((command !== undefined && COMMANDS.get(command)) || GENERAL) + EXIT_CODES
}
