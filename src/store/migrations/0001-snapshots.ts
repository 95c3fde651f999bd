import { countTriggers, type ColumnTypes } from './types.ts'

/** Snapshots, which outlive their instances, and what they are made of and become. */
export function snapshotTables({ kind, text, int }: ColumnTypes): readonly string[] {
  return [
    `create table snapshots (snapshot_id ${text} primary key, instance_id ${text} not null, workspace_id ${text} not null,
      user_id ${text} not null, name ${text} not null, description ${text} not null, image_url ${text} not null,
      overwrite ${int} not null, exclude_paths ${text} not null, labels ${text} not null, status ${text} not null,
      reason_code ${text} not null, reason_message ${text} not null, image_id ${text} not null, created_ms ${int} not null,
      modified_ms ${int} not null, unfinished_of ${text} unique, running_reference ${text} unique, origin ${text} not null, schedule_id ${text},
      cancel_requested ${int} not null, owner ${text}, lease_expires_ms ${int} not null, fence ${int} not null,
      attempts ${int} not null, instance_gone ${int} not null, manifest_digest ${text}, progress ${text}, result ${text},
      manifest ${text})`,
    'create index snapshots_instance on snapshots (instance_id, created_ms, snapshot_id)',
    'create index snapshots_image on snapshots (image_url)',
    'create index snapshots_queue on snapshots (lease_expires_ms, created_ms) where unfinished_of is not null',
    'create index snapshots_schedule on snapshots (schedule_id, created_ms) where schedule_id is not null',
    `create table snapshot_counts (instance_id ${text} primary key, total ${int} not null)`,
    ...countTriggers(kind, { table: 'snapshots', counts: 'snapshot_counts', by: ['instance_id'] }),
    `create table images (image_id ${text} primary key, workspace_id ${text} not null, user_id ${text} not null,
      name ${text} not null, description ${text} not null, uri ${text} not null, accessibility ${text} not null,
      size_bytes ${int} not null, source_type ${text} not null, source_id ${text} not null, from_snapshot ${int} not null,
      created_ms ${int} not null, modified_ms ${int} not null)`,
    // Images of snapshots may share a name: a schedule saves under one.
    'create unique index images_name on images (workspace_id, name) where from_snapshot = 0',
    'create index images_created on images (workspace_id, created_ms, image_id)',
    'create index images_public on images (workspace_id, accessibility, created_ms, image_id)',
    'create index images_own on images (workspace_id, user_id, created_ms, image_id)',
    'create index images_uri on images (uri)',
    `create table image_labels (image_id ${text} not null references images (image_id) on delete cascade,
      key ${text} not null, value ${text} not null, primary key (image_id, key))`,
    'create index image_labels_value on image_labels (key, value, image_id)',
    `create table registries (host ${text} primary key, plain_http ${int} not null, user_name_encrypted ${text},
      password_encrypted ${text}, created_ms ${int} not null, modified_ms ${int} not null)`,
    `create table schedules (schedule_id ${text} primary key, instance_id ${text} not null, user_id ${text} not null,
      cron ${text} not null, time_zone ${text} not null, repository ${text} not null, exclude_paths ${text} not null,
      keep_last ${int}, keep_days ${int}, enabled ${int} not null, next_ms ${int} not null, last_snapshot_id ${text},
      created_ms ${int} not null, modified_ms ${int} not null)`,
    'create index schedules_instance on schedules (instance_id)',
    'create index schedules_due on schedules (next_ms) where enabled = 1',
  ]
}
