import { countTriggers, type ColumnTypes } from './types.ts'

/** Instances, and what belongs to one: it goes with it. */
export function instanceTables(types: ColumnTypes): readonly string[] {
  const { kind, text, int } = types
  const counts = {
    table: 'instances',
    counts: 'instance_counts',
    by: ['workspace_id', 'payment_type', 'accessibility', 'user_id'],
  }
  return [
    `create table instances (instance_id ${text} primary key, workspace_id ${text} not null, user_id ${text} not null,
      name ${text} not null, status ${text} not null, reason_code ${text} not null, reason_message ${text} not null,
      accessibility ${text} not null, image_id ${text} not null, image_url ${text} not null, image_name ${text} not null,
      image_auth_encrypted ${text},
      ecs_spec ${text} not null, accelerator_type ${text} not null, cpu_milli ${int}, memory_bytes ${int},
      gpu_count ${int} not null, gpu_type ${text} not null, gpu_memory_bytes ${int} not null,
      oversold_type ${text} not null, priority ${int} not null, payment_type ${text} not null, resource_id ${text} not null,
      access_token_encrypted ${text}, base_repository_last ${text}, created_ms ${int} not null, modified_ms ${int} not null,
      started_ms ${int}, accumulated_ms ${int} not null, session ${int} not null,
      generation ${int} not null, made_generation ${int} not null, attempts ${int} not null, retry_ms ${int} not null,
      version ${int} not null, wanted ${text} not null, owner ${text},
      lease_expires_ms ${int} not null, fence ${int} not null, handle ${text}, spec ${text} not null)`,
    ...instanceIndexes(),
    `create table instance_counts (workspace_id ${text} not null, payment_type ${text} not null,
      accessibility ${text} not null, user_id ${text} not null, total ${int} not null, primary key (${counts.by.join(', ')}))`,
    ...countTriggers(kind, counts),
    ...partsOfInstances(types),
    ...looseParts(types),
  ]
}

/**
 * A page is read from an index of its order that also holds what lists are usually filtered by: whoever may see few of
 * 100 000 instances must not make the database look up all of them.
 */
function instanceIndexes(): readonly string[] {
  const orders = ['created_ms', 'modified_ms', 'priority']
  const filters = 'payment_type, accessibility, user_id, status, name'
  return [
    'create unique index instances_name on instances (workspace_id, name)',
    ...orders.flatMap((order) => [
      `create index instances_${order} on instances (workspace_id, ${order}, instance_id, ${filters})`,
      `create index instances_own_${order} on instances (workspace_id, user_id, ${order}, instance_id, payment_type)`,
    ]),
    'create index instances_all on instances (created_ms, instance_id)',
    // For filters that no order helps: every column that a list is narrowed by, so that no row is read for it.
    `create index instances_filter on instances (workspace_id, created_ms, instance_id, name, status, payment_type,
      accessibility, user_id, accelerator_type, image_name, cpu_milli, memory_bytes, gpu_count, gpu_type,
      gpu_memory_bytes, resource_id, oversold_type)`,
    // What a list by status counts: few rows of many.
    'create index instances_status on instances (workspace_id, status, payment_type, accessibility, user_id)',
    'create index instances_work on instances (lease_expires_ms, wanted, status)',
  ]
}

function partsOfInstances({ text, int, float, serial }: ColumnTypes): readonly string[] {
  const instance = `${text} not null references instances (instance_id) on delete cascade`
  return [
    `create table instance_labels (instance_id ${instance}, kind ${text} not null, key ${text} not null,
      value ${text} not null, primary key (instance_id, kind, key))`,
    'create index instance_labels_value on instance_labels (key, value, kind, instance_id)',
    `create table lifecycle (id ${serial}, instance_id ${instance}, session ${int} not null, status ${text} not null,
      reason_code ${text} not null, reason_message ${text} not null, start_ms ${int} not null, end_ms ${int})`,
    'create index lifecycle_session on lifecycle (instance_id, session, id)',
    `create table instance_events (id ${serial}, instance_id ${instance}, time_ms ${int} not null, level ${text} not null,
      text ${text} not null)`,
    'create index instance_events_instance on instance_events (instance_id, time_ms, id)',
    'create index instance_events_time on instance_events (time_ms)',
    `create table metrics (instance_id ${instance}, time_ms ${int} not null, cpu_pct ${float} not null,
      memory_pct ${float} not null, gpu_pct ${float}, gpu_memory_pct ${float}, net_in ${float} not null,
      net_out ${float} not null, disk_read ${float} not null, disk_write ${float} not null,
      primary key (instance_id, time_ms))`,
    'create index metrics_time on metrics (time_ms)',
    `create table cullers (instance_id ${instance} primary key, cpu_pct ${int} not null, gpu_pct ${int} not null,
      max_idle_minutes ${int} not null, idle_since_ms ${int})`,
    `create table timers (instance_id ${instance} primary key, due_ms ${int} not null, created_ms ${int} not null,
      modified_ms ${int} not null)`,
    'create index timers_due on timers (due_ms)',
  ]
}

function looseParts({ text, int }: ColumnTypes): readonly string[] {
  return [
    `create table temp_files (temp_file_id ${text} primary key, instance_id ${text} not null, user_id ${text} not null,
      task_id ${text} not null, name ${text} not null, prefix ${text} not null, status ${text} not null,
      capacity ${int} not null, created_ms ${int} not null, modified_ms ${int} not null, expires_ms ${int} not null)`,
    'create index temp_files_user on temp_files (user_id, created_ms, temp_file_id)',
    'create index temp_files_task on temp_files (task_id)',
    `create table temp_file_tasks (task_id ${text} primary key, instance_id ${text} not null, user_id ${text} not null,
      created_ms ${int} not null, modified_ms ${int} not null, expires_ms ${int} not null)`,
    'create index temp_file_tasks_user on temp_file_tasks (user_id)',
    `create table sanity_checks (task_id ${text} primary key, instance_id ${text} not null, check_type ${text} not null,
      status ${text} not null, start_ms ${int} not null, end_ms ${int}, details ${text} not null)`,
    'create index sanity_checks_start on sanity_checks (start_ms)',
  ]
}
