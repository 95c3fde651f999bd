/** What the commands that speak to a server say of themselves: by group, `snapshot` under its verbs. */

const COMMON = `
Every command takes:
  --endpoint URL       the server, http[s]://HOST[:PORT], instead of the profile's
  --profile NAME       a profile of "tintype configure"
  --json               print one JSON object instead of text

`

const INSTANCE = `Usage: tintype instance COMMAND

Instances of a Tintype server: dev containers that it starts, stops and saves. INSTANCE is an id or a name.

  create [options]               make and start one; needs --image-url or --image
  list [--status S] [--name N] [--label K=V]… [--workspace ID|ALL]
  get INSTANCE
  start INSTANCE [--wait]
  stop INSTANCE [--save-image] [--wait]
  update INSTANCE [options]      change it; image, size, environment, dataset and start command only when it is stopped
  delete INSTANCE                with its workspace; its snapshots stay
  events INSTANCE                what happened to it
  metrics INSTANCE [METRIC]      the latest and the highest values, or one metric over time
  logs INSTANCE                  what the system and --on-start said
  token INSTANCE                 the token that opens its notebook

Options of create and update:
  --image-url REFERENCE  the image to run, such as registry.example.com/team/base:v1
  --image ID             the same from the catalogue: tintype image list
  --image-username NAME  login for the image's registry; the password is asked for,
  --password-stdin       or read from standard input
  --name NAME            1 to 27 letters, digits and underscores
  --cpu N                cores: 4, 0.5 or 500m; all that the host has when it is left out
  --memory SIZE          8Gi, or 8 for the same
  --shared-memory SIZE   of /dev/shm
  --gpu N                number of GPUs
  --env KEY=VALUE        environment variable; KEY alone takes the value from here; may be repeated (update: replaces all)
  --dataset SOURCE:PATH  mount a directory of the server's host, with :ro at the end read-only; may be repeated
                         (update: replaces all)
  --on-start COMMAND     what every start runs in the background
  --label KEY=VALUE      may be repeated
  --accessibility KIND   private (default): yours alone; public: the others of the workspace see it
  --idle-minutes N       stop it when it has done nothing for so long; 0: never
  --wait                 (create) until it runs
${COMMON}Examples:
  tintype instance create --image-url registry.example.com/team/base:v1 --name ann_dev --cpu 4 --memory 16Gi --wait
  tintype instance stop ann_dev --save-image --wait

`

const SNAPSHOT = `Usage: tintype snapshot COMMAND INSTANCE …

Snapshots that a Tintype server makes of its instances. INSTANCE is an id or a name. (A container of this host, without a
server: tintype help snapshot. One that is named like a command here: give its id, or write "tintype snapshot -- NAME".)

  create INSTANCE --name NAME --image-url REFERENCE [--exclude PATH]… [--overwrite] [--label K=V]…
         [--description T] [--wait]
  list INSTANCE
  get INSTANCE SNAPSHOT
  delete INSTANCE SNAPSHOT [--delete-image]   the record, and with the option the image in the registry, too
  cancel INSTANCE SNAPSHOT                    end one that is under way; its record stays
  watch INSTANCE SNAPSHOT                     show the progress until it is saved
  preview INSTANCE [--exclude PATH]…          what a snapshot would take

With --wait, "create" shows the progress and ends when the image is saved; Ctrl-C then ends the wait, not the snapshot.
${COMMON}Example:
  tintype snapshot create ann_dev --name friday --image-url registry.example.com/team/ann:friday --wait

`

const IMAGE = `Usage: tintype image COMMAND

The server's catalogue of images. The images themselves are in their registries, and stay there.

  list [--name N] [--label K=V]…
  get IMAGE
  add REFERENCE [--name N] [--description T] [--label K=V]… [--accessibility private|public]
  remove IMAGE       from the catalogue
  publish IMAGE      let everyone see it
${COMMON}`

const USER = `Usage: tintype user COMMAND

Users of a server, and the access keys they sign with. What they may do: tintype help policy.

  create USER [--display-name N] [--comments T]
  list
  delete USER               when it has no keys and no policies any more
  key create USER           its secret is shown this once
  key list USER
  key disable USER KEY
  key enable USER KEY
  key delete USER KEY
${COMMON}`

const POLICY = `Usage: tintype policy COMMAND

What users and roles may do, as RAM policies. --system is for those that come with the server: tintype policy list.

  create POLICY --document FILE [--description T]       FILE: JSON; - for standard input
  list
  get POLICY [--system]
  delete POLICY
  attach POLICY --user USER|--role ROLE [--system]
  detach POLICY --user USER|--role ROLE [--system]
${COMMON}Example:
  tintype policy attach TintypeResearcher --user ann

`

const REGISTRY = `Usage: tintype registry COMMAND

Where a server may push, and its login there. Passwords are asked for, or piped in; the server keeps them encrypted and
shows them to nobody.

  add HOST [--username N] [--password-stdin] [--plain-http]
  update HOST [--username N] [--password-stdin] [--plain-http]
  list
  remove HOST
  test HOST          whether it answers, and takes the login
${COMMON}Example:
  tintype registry add registry.example.com --username robot --password-stdin < password.txt

`

const SCHEDULE = `Usage: tintype schedule COMMAND

Instances that a server saves again and again. INSTANCE is an id or a name.

  create INSTANCE --cron EXPRESSION --image-url REGISTRY/REPOSITORY [options]
  list [INSTANCE]
  update SCHEDULE [--cron E] [--image-url R] [--enable] [--disable] [options]
  delete SCHEDULE                what it saved stays

Options:
  --cron EXPRESSION    MINUTE HOUR DAY MONTH WEEKDAY, such as "0 3 * * *"
  --time-zone ZONE     such as Europe/Berlin (UTC)
  --exclude PATH       leave out a file or directory; may be repeated
  --keep-last N        delete all but the last N images; 0 keeps all
  --keep-days N        delete images that are older; 0 keeps all
${COMMON}`

const CONFIGURE = `Usage: tintype configure [options]

Asks for a server and an access key, and keeps them as a profile in ~/.tintype/config.json, which only you can read.

Options:
  --profile NAME        its name (default)
  --endpoint URL        http[s]://HOST[:PORT]
  --access-key-id ID
  --secret-stdin        read the secret from standard input

Example:
  tintype configure --endpoint https://tintype.example.com --access-key-id LTAI… --secret-stdin < secret.txt

`

export const API_HELP: ReadonlyMap<string, string> = new Map([
  ['instance', INSTANCE],
  ['image', IMAGE],
  ['user', USER],
  ['policy', POLICY],
  ['registry', REGISTRY],
  ['schedule', SCHEDULE],
  ['configure', CONFIGURE],
])

/** Of `tintype snapshot` with a verb. */
export const API_SNAPSHOT_HELP = SNAPSHOT
