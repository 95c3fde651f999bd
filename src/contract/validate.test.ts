import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AppError } from '#base/errors.ts'
import { OPERATIONS } from './operations.ts'
import type { Action } from './operations.ts'
import type { Operation } from './operation.ts'
import { validateBody, validateParams, validateQuery } from './validate.ts'

const SNAPSHOT = { SnapshotName: 'snapshot-v1', ImageUrl: 'registry.example/team/app:snapshot-v1' }
const INSTANCE = { ImageUrl: 'registry.example/team/app:1' }
const REGISTRY = { Host: 'registry.example' }
const SCHEDULE = { InstanceId: 'dsw-1', Cron: '0 3 * * *', ImageUrl: 'registry.example/team/app' }
const labels = (...keys: readonly string[]) => keys.map((Key) => ({ Key, Value: 'x' }))

function assertRefused(work: () => unknown, sentence: string): void {
  assert.throws(work, (error: unknown) => {
    assert.ok(error instanceof AppError && error.code === 'validation_failed')
    assert.equal(error.message, sentence)
    assert.notEqual(error.details['field'], undefined)
    return true
  })
}

const refusedBodies: readonly (readonly [string, Action, unknown, string])[] = [
  [
    'a name with capitals',
    'CreateInstanceSnapshot',
    { ...SNAPSHOT, SnapshotName: 'Foo_bar' },
    'SnapshotName must be 1 to 50 lower-case letters, digits and hyphens, and begin with a letter or a digit, not "Foo_bar".',
  ],
  [
    'a name that begins with a hyphen',
    'CreateInstanceSnapshot',
    { ...SNAPSHOT, SnapshotName: '-a' },
    'SnapshotName must be 1 to 50 lower-case letters, digits and hyphens, and begin with a letter or a digit, not "-a".',
  ],
  [
    'a name with a line break at its end',
    'CreateInstanceSnapshot',
    { ...SNAPSHOT, SnapshotName: 'a\n' },
    'SnapshotName must be 1 to 50 lower-case letters, digits and hyphens, and begin with a letter or a digit, not "a\\n".',
  ],
  [
    'an empty name',
    'CreateInstanceSnapshot',
    { ...SNAPSHOT, SnapshotName: '' },
    'SnapshotName must be 1 to 50 lower-case letters, digits and hyphens, and begin with a letter or a digit, not "".',
  ],
  [
    'a long value, which is shortened',
    'CreateInstanceSnapshot',
    { ...SNAPSHOT, SnapshotName: 'a'.repeat(51) + 'b'.repeat(50) },
    `SnapshotName must be 1 to 50 lower-case letters, digits and hyphens, and begin with a letter or a digit, not "${'a'.repeat(51)}${'b'.repeat(8)}…".`,
  ],
  ['no name', 'CreateInstanceSnapshot', { ImageUrl: 'a' }, 'SnapshotName is missing; it is required.'],
  [
    'null for a required field',
    'CreateInstanceSnapshot',
    { ...SNAPSHOT, ImageUrl: null },
    'ImageUrl is missing; it is required.',
  ],
  ['an empty image', 'CreateInstanceSnapshot', { ...SNAPSHOT, ImageUrl: '' }, 'ImageUrl must not be empty.'],
  ['a number for a text', 'CreateInstanceSnapshot', { ...SNAPSHOT, ImageUrl: 5 }, 'ImageUrl must be a text, not 5.'],
  [
    'an image that is too long',
    'CreateInstanceSnapshot',
    { ...SNAPSHOT, ImageUrl: 'a'.repeat(1025) },
    'ImageUrl has 1025 characters; 1024 is the most.',
  ],
  [
    'a text for a flag',
    'CreateInstanceSnapshot',
    { ...SNAPSHOT, Overwrite: 'true' },
    'Overwrite must be true or false, not "true".',
  ],
  [
    'an object for a list',
    'CreateInstanceSnapshot',
    { ...SNAPSHOT, Labels: { a: 'b' } },
    'Labels must be a list, not an object.',
  ],
  [
    'a list for a text, deep down',
    'CreateInstanceSnapshot',
    { ...SNAPSHOT, Labels: [{ Key: 'a', Value: [] }] },
    'Labels[0].Value must be a text, not a list.',
  ],
  [
    'a label that no index holds',
    'CreateInstanceSnapshot',
    { ...SNAPSHOT, Labels: [{ Key: 'a', Value: 'x'.repeat(257) }] },
    'Labels[0].Value has 257 characters; 256 is the most.',
  ],
  ...['a,b', ' a', 'a '].map((Key): readonly [string, Action, unknown, string] => [
    'a label that nobody could remove again',
    'CreateInstanceSnapshot',
    { ...SNAPSHOT, Labels: [{ Key, Value: 'x' }] },
    `Labels[0].Key must be text without commas and outer blanks, not ${JSON.stringify(Key)}.`,
  ]),
  [
    'a GPU with a name that no index holds',
    'CreateInstance',
    { ImageUrl: 'a', RequestedResource: { GPUType: 'x'.repeat(129) } },
    'RequestedResource.GPUType has 129 characters; 128 is the most.',
  ],
  [
    'an id in letters of its own',
    'CreateInstance',
    { ImageUrl: 'a', UserId: 'Ä' },
    'UserId must be ASCII characters, not "Ä".',
  ],
  [
    'null in a list',
    'CreateInstanceSnapshot',
    { ...SNAPSHOT, ExcludePaths: [null] },
    'ExcludePaths[0] must be an absolute path, not null.',
  ],
  [
    'a relative path',
    'CreateInstanceSnapshot',
    { ...SNAPSHOT, ExcludePaths: ['/a', 'b'] },
    'ExcludePaths[1] must be an absolute path, not "b".',
  ],
  [
    'too many items',
    'CreateInstanceSnapshot',
    { ...SNAPSHOT, ExcludePaths: Array(1001).fill('/a') },
    'ExcludePaths has 1001 items; 1000 is the most.',
  ],
  [
    'a label without a key',
    'CreateInstanceSnapshot',
    { ...SNAPSHOT, Labels: [{ Value: 'x' }] },
    'Labels[0].Key is missing; give each a key.',
  ],
  [
    'a key that comes twice',
    'CreateInstanceSnapshot',
    { ...SNAPSHOT, Labels: labels('a', 'b', 'a') },
    'Labels[2].Key is "a" a second time; give each key once.',
  ],
  [
    'NUL in a text',
    'CreateInstanceSnapshot',
    { ...SNAPSHOT, ImageUrl: 'a\0' },
    'ImageUrl has characters that are no text; leave out NUL and unpaired surrogates.',
  ],
  [
    'half a surrogate pair in a text',
    'CreateInstanceSnapshot',
    { ...SNAPSHOT, SnapshotDescription: '\ud800' },
    'SnapshotDescription has characters that are no text; leave out NUL and unpaired surrogates.',
  ],
  ['a list as the body', 'CreateInstanceSnapshot', [], 'The body must be an object, not a list.'],
  ['a text as the body', 'CreateInstanceSnapshot', 'x', 'The body must be an object, not "x".'],
  [
    'an instance name with a hyphen',
    'CreateInstance',
    { ...INSTANCE, InstanceName: 'a-b' },
    'InstanceName must be 1 to 27 letters, digits and underscores, not "a-b".',
  ],
  [
    'an instance name of 28 characters',
    'CreateInstance',
    { ...INSTANCE, InstanceName: 'a'.repeat(28) },
    `InstanceName must be 1 to 27 letters, digits and underscores, not "${'a'.repeat(28)}".`,
  ],
  [
    'a priority of 10',
    'CreateInstance',
    { ...INSTANCE, Priority: 10 },
    'Priority must be a whole number from 1 to 9, not 10.',
  ],
  [
    'a priority of 1.5',
    'CreateInstance',
    { ...INSTANCE, Priority: 1.5 },
    'Priority must be a whole number from 1 to 9, not 1.5.',
  ],
  [
    'another accessibility',
    'CreateInstance',
    { ...INSTANCE, Accessibility: 'public' },
    'Accessibility must be PUBLIC or PRIVATE, not "public".',
  ],
  [
    'another route',
    'CreateInstance',
    { ...INSTANCE, UserVpc: { DefaultRoute: 'eth2' } },
    'UserVpc.DefaultRoute must be eth0 or eth1, not "eth2".',
  ],
  [
    'another kind of oversold quota',
    'CreateInstance',
    { ...INSTANCE, OversoldType: 'x' },
    'OversoldType must be ForceQuotaOverSold, AcceptQuotaOverSold or ForbiddenQuotaOverSold, not "x".',
  ],
  [
    'a disk that is not the root',
    'CreateInstance',
    { ...INSTANCE, CloudDisks: [{ SubType: 'data' }] },
    'CloudDisks[0].SubType must be rootfs, not "data".',
  ],
  [
    'a size without a number',
    'CreateInstance',
    { ...INSTANCE, CloudDisks: [{ Capacity: 'big' }] },
    'CloudDisks[0].Capacity must be a size like 100Gi, not "big".',
  ],
  ['no image', 'CreateInstance', { InstanceName: 'a' }, 'ImageUrl is missing; give it or an ImageId.'],
  [
    'an image that is empty',
    'CreateInstance',
    { ImageUrl: '', ImageId: '' },
    'ImageUrl is missing; give it or an ImageId.',
  ],
  [
    'a number in the environment, which may be a secret',
    'CreateInstance',
    { ...INSTANCE, EnvironmentVariables: { PIN: 1234 } },
    'EnvironmentVariables.PIN must be a text.',
  ],
  [
    'a name with "=" in the environment',
    'CreateInstance',
    { ...INSTANCE, EnvironmentVariables: { 'a=b': 'c' } },
    'EnvironmentVariables.a=b cannot be set; a name has no "=" and no white space.',
  ],
  [
    'a name that would change the prototype',
    'CreateInstance',
    JSON.parse('{"ImageUrl":"a","EnvironmentVariables":{"__proto__":"x"}}'),
    'EnvironmentVariables has a name that cannot be used; give names of 1 to 256 printable characters.',
  ],
  [
    'a name with a line break',
    'CreateInstance',
    { ...INSTANCE, AccessRestrictionRules: { 'a\nb': 'x' } },
    'AccessRestrictionRules has a name that cannot be used; give names of 1 to 256 printable characters.',
  ],
  [
    'too many names',
    'CreateInstance',
    { ...INSTANCE, AccessRestrictionRules: Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`n${i}`, 'x'])) },
    'AccessRestrictionRules has 1001 names; 1000 is the most.',
  ],
  [
    'free content that is too deep',
    'CreateInstance',
    { ...INSTANCE, MigrationOptions: { a: [[[[[[[[[1]]]]]]]]] } },
    'MigrationOptions has more than 8 levels; nest it less.',
  ],
  [
    'free content with NUL',
    'CreateInstance',
    { ...INSTANCE, MigrationOptions: { a: { b: '\0' } } },
    'MigrationOptions has characters that are no text; leave out NUL and unpaired surrogates.',
  ],
  [
    'credentials that are no Base64, which are not repeated',
    'CreateInstance',
    { ...INSTANCE, ImageAuth: 'secret!' },
    'ImageAuth must be the Base64 text of USER:PASSWORD.',
  ],
  [
    'credentials without a colon',
    'CreateInstance',
    { ...INSTANCE, ImageAuth: btoa('secret') },
    'ImageAuth must be the Base64 text of USER:PASSWORD.',
  ],
  [
    'credentials that are a number',
    'CreateInstance',
    { ...INSTANCE, ImageAuth: 123456 },
    'ImageAuth must be the Base64 text of USER:PASSWORD.',
  ],
  [
    'a dataset from two places',
    'CreateInstance',
    { ...INSTANCE, Datasets: [{ DatasetId: 'd-1', Uri: 'oss://b/' }] },
    'Datasets[0] must have either a DatasetId or a Uri.',
  ],
  [
    'a dataset from nowhere',
    'CreateInstance',
    { ...INSTANCE, Datasets: [{ MountPath: '/mnt/data' }] },
    'Datasets[0] must have either a DatasetId or a Uri.',
  ],
  [
    'a version of what has no id',
    'CreateInstance',
    { ...INSTANCE, Datasets: [{ Uri: 'oss://b/', DatasetVersion: 'v1' }] },
    'Datasets[0].DatasetVersion is only for a DatasetId; leave it out.',
  ],
  [
    'options of both kinds',
    'UpdateInstance',
    { Datasets: [{ Uri: 'oss://b/', Options: '{}', OptionType: 'ReadOnly' }] },
    'Datasets[0] must not have both Options and OptionType; leave out OptionType.',
  ],
  [
    'two datasets at one place',
    'CreateInstance',
    {
      ...INSTANCE,
      Datasets: [
        { Uri: 'a:', MountPath: '/d' },
        { Uri: 'b:', MountPath: '/d' },
      ],
    },
    'Datasets[1].MountPath is that of another dataset; give each its own.',
  ],
  [
    'a tag that comes twice',
    'CreateInstance',
    { ...INSTANCE, Tag: labels('a', 'a') },
    'Tag[1].Key is "a" a second time; give each key once.',
  ],
  [
    'an object in the environment',
    'UpdateInstance',
    { EnvironmentVariables: { A: {} } },
    'EnvironmentVariables.A must be a text.',
  ],
  [
    'a label to set without a value',
    'UpdateInstanceLabels',
    { Labels: [{ Key: 'a' }] },
    'Labels[0].Value is missing; it is required.',
  ],
  ['no instances to stop', 'StopInstances', {}, 'InstanceIds is missing; it is required.'],
  [
    'a threshold of 0',
    'CreateIdleInstanceCuller',
    { CpuPercentThreshold: 0 },
    'CpuPercentThreshold must be a whole number from 1 to 100, not 0.',
  ],
  [
    'a threshold of 101',
    'CreateIdleInstanceCuller',
    { GpuPercentThreshold: 101 },
    'GpuPercentThreshold must be a whole number from 1 to 100, not 101.',
  ],
  [
    'no time of idleness',
    'CreateIdleInstanceCuller',
    { MaxIdleTimeInMinutes: 0 },
    'MaxIdleTimeInMinutes must be a whole number of at least 1, not 0.',
  ],
  ['a timer without a time', 'CreateInstanceShutdownTimer', {}, 'Give either DueTime or RemainingTimeInMs.'],
  [
    'a timer with two times',
    'CreateInstanceShutdownTimer',
    { DueTime: '2026-01-31T08:00:00Z', RemainingTimeInMs: 1 },
    'Give either DueTime or RemainingTimeInMs.',
  ],
  [
    'a day that no month has',
    'CreateInstanceShutdownTimer',
    { DueTime: '2026-02-30T08:00:00Z' },
    'DueTime must be a time in UTC like 2026-01-31T08:00:00Z, not "2026-02-30T08:00:00Z".',
  ],
  [
    'a time in another zone',
    'CreateInstanceShutdownTimer',
    { DueTime: '2026-01-31T08:00:00+01:00' },
    'DueTime must be a time in UTC like 2026-01-31T08:00:00Z, not "2026-01-31T08:00:00+01:00".',
  ],
  [
    'an image name that begins with a digit',
    'AddImage',
    { Name: '1a', ImageUri: 'a' },
    'Name must be 1 to 50 lower-case letters, digits and hyphens, and begin with a letter, not "1a".',
  ],
  [
    'an image id that is too short',
    'AddImage',
    { Name: 'a', ImageUri: 'a', ImageId: 'image-1' },
    'ImageId must be "image-" and 18 letters or digits, not "image-1".',
  ],
  [
    'a negative size',
    'AddImage',
    { Name: 'a', ImageUri: 'a', Size: -1 },
    'Size must be a whole number from 0 to 8388607, not -1.',
  ],
  [
    'another source',
    'AddImage',
    { Name: 'a', ImageUri: 'a', SourceType: 'x' },
    'SourceType must be Import or Build, not "x".',
  ],
  [
    'a user name without its password',
    'CreateRegistry',
    { ...REGISTRY, UserName: 'a' },
    'Give UserName and Password together.',
  ],
  [
    'a password that is a number, which is not repeated',
    'CreateRegistry',
    { ...REGISTRY, UserName: 'a', Password: 12345 },
    'Password must be a text.',
  ],
  [
    'a host with a path',
    'CreateRegistry',
    { Host: 'registry.example/team' },
    'Host must be a host with or without a port, like registry.example:5000, not "registry.example/team".',
  ],
  [
    'a time zone that is not known',
    'CreateSchedule',
    { ...SCHEDULE, TimeZone: 'Mars/Olympus' },
    'TimeZone must be a name of the time zone database like Europe/Berlin, not "Mars/Olympus".',
  ],
]
for (const [reason, action, body, sentence] of refusedBodies) {
  test(`${action} refuses ${reason}`, () => {
    assertRefused(() => validateBody(OPERATIONS[action], body), sentence)
  })
}

const refusedQueries: readonly (readonly [string, Action, Record<string, unknown>, string])[] = [
  [
    'a page of 0',
    'ListInstanceSnapshot',
    { PageNumber: '0' },
    'PageNumber must be a whole number of at least 1, not 0.',
  ],
  [
    'a page that is no number',
    'ListInstanceSnapshot',
    { PageNumber: 'one' },
    'PageNumber must be a whole number of at least 1, not "one".',
  ],
  [
    'a page with a fraction',
    'ListInstanceSnapshot',
    { PageNumber: '1.0' },
    'PageNumber must be a whole number of at least 1, not "1.0".',
  ],
  [
    'a number that JavaScript cannot hold',
    'ListInstanceSnapshot',
    { PageNumber: '9007199254740993' },
    'PageNumber must be a whole number of at least 1, not "9007199254740993".',
  ],
  [
    '101 to a page',
    'ListInstanceSnapshot',
    { PageSize: '101' },
    'PageSize must be a whole number from 1 to 100, not 101.',
  ],
  ['another sorting', 'ListInstanceSnapshot', { SortBy: 'name' }, 'SortBy must be gmtCreate, not "name".'],
  ['another order', 'ListInstances', { Order: 'up' }, 'Order must be ASC or DESC, not "UP".'],
  [
    'a parameter that comes twice',
    'ListInstances',
    { Order: ['ASC', 'DESC'] },
    'Order is given more than once; give it once.',
  ],
  ['JSON that is none', 'ListInstances', { Labels: '{a}' }, 'Labels must be one JSON text.'],
  ['JSON of another type', 'ListInstances', { Labels: '"a"' }, 'Labels must be an object, not "a".'],
  [
    'five labels to filter by',
    'ListInstances',
    { Labels: '{"a":"","b":"","c":"","d":"","e":""}' },
    'Labels has 5 pairs; 4 is the most.',
  ],
  ['a label that is no text', 'ListInstances', { Labels: '{"a":1}' }, 'Labels must have a text for each key.'],
  [
    'another state',
    'ListInstances',
    { Status: 'running' },
    'Status must be Creating, SaveFailed, Stopped, Failed, ResourceAllocating, Stopping, Updating, Saving, Queuing, Recovering, Starting, Running, Saved, Deleting or EnvPreparing, not "running".',
  ],
  ['an amount that is no number', 'ListInstances', { MinCpu: 'many' }, 'MinCpu must be a number, not "many".'],
  ['a flag that is none', 'StopInstance', { SaveImage: 'yes' }, 'SaveImage must be true or false, not "yes".'],
  [
    'another metric',
    'GetInstanceMetrics',
    { MetricType: 'x' },
    'MetricType must be GpuCoreUsage, GpuMemoryUsage, CpuCoreUsage, MemoryUsage, NetworkInputRate, NetworkOutputRate, DiskReadRate or DiskWriteRate, not "x".',
  ],
  ['no metric', 'GetInstanceMetrics', {}, 'MetricType is missing; it is required.'],
  [
    'a step in seconds',
    'GetInstanceMetrics',
    { MetricType: 'MemoryUsage', TimeStep: '15s' },
    'TimeStep must be a number of minutes like 15m, not "15s".',
  ],
  ['1441 points', 'GetMetrics', { Length: '1441' }, 'Length must be a number from 1 to 1440, not "1441".'],
  ['no kind of specs', 'ListEcsSpecs', {}, 'AcceleratorType is missing; it is required.'],
  ['no labels to remove', 'DeleteInstanceLabels', {}, 'LabelKeys is missing; it is required.'],
  [
    'a user name with a blank',
    'CreateUser',
    { UserName: 'a b' },
    'UserName must be 1 to 64 letters, digits, ".", "_" and "-", not "a b".',
  ],
  [
    'a policy name with a dot',
    'CreatePolicy',
    { PolicyName: 'a.b', PolicyDocument: '{}' },
    'PolicyName must be 1 to 128 letters, digits and "-", not "a.b".',
  ],
  [
    'a policy that is too long',
    'CreatePolicy',
    { PolicyName: 'a', PolicyDocument: 'x'.repeat(6145) },
    'PolicyDocument has 6145 characters; 6144 is the most.',
  ],
  [
    'another type of policy',
    'GetPolicy',
    { PolicyName: 'a', PolicyType: 'custom' },
    'PolicyType must be System or Custom, not "custom".',
  ],
  [
    'a role name with an underscore',
    'CreateRole',
    { RoleName: 'a_b', AssumeRolePolicyDocument: '{}' },
    'RoleName must be 1 to 64 letters, digits, "." and "-", not "a_b".',
  ],
  [
    'a session that is too short',
    'AssumeRole',
    { RoleArn: 'acs:ram::1:role/a', RoleSessionName: 'me', DurationSeconds: '60' },
    'DurationSeconds must be a whole number from 900 to 43200, not 60.',
  ],
  [
    'a tag that comes twice',
    'CreateRole',
    { RoleName: 'a', AssumeRolePolicyDocument: '{}', Tag: '[{"Key":"a"},{"Key":"a"}]' },
    'Tag[1].Key is "a" a second time; give each key once.',
  ],
  [
    'a relative path to leave out',
    'PreviewInstanceSnapshot',
    { ExcludePaths: '["a"]' },
    'ExcludePaths[0] must be an absolute path, not "a".',
  ],
]
for (const [reason, action, query, sentence] of refusedQueries) {
  test(`${action} refuses ${reason}`, () => {
    assertRefused(() => validateQuery(OPERATIONS[action], query), sentence)
  })
}

const taken: readonly (readonly [string, () => unknown, unknown])[] = [
  ['the shortest snapshot', () => validateBody(OPERATIONS.CreateInstanceSnapshot, SNAPSHOT), SNAPSHOT],
  [
    'a name of one digit',
    () => validateBody(OPERATIONS.CreateInstanceSnapshot, { ...SNAPSHOT, SnapshotName: '1' }),
    { ...SNAPSHOT, SnapshotName: '1' },
  ],
  [
    'a name of 50 characters',
    () => validateBody(OPERATIONS.CreateInstanceSnapshot, { ...SNAPSHOT, SnapshotName: 'a'.repeat(50) }),
    { ...SNAPSHOT, SnapshotName: 'a'.repeat(50) },
  ],
  [
    'unknown fields, which are left out',
    () => validateBody(OPERATIONS.CreateInstanceSnapshot, { ...SNAPSHOT, New: 1, Labels: [{ Key: 'a', New: 1 }] }),
    { ...SNAPSHOT, Labels: [{ Key: 'a' }] },
  ],
  [
    'null, which is nothing',
    () => validateBody(OPERATIONS.CreateInstanceSnapshot, { ...SNAPSHOT, Overwrite: null, Labels: null }),
    SNAPSHOT,
  ],
  [
    'null in a map, which is nothing',
    () => validateBody(OPERATIONS.CreateInstance, { ...INSTANCE, EnvironmentVariables: { A: null, B: 'b' } }),
    { ...INSTANCE, EnvironmentVariables: { B: 'b' } },
  ],
  [
    'credentials',
    () => validateBody(OPERATIONS.CreateInstance, { ...INSTANCE, ImageAuth: btoa('me:secret') }),
    { ...INSTANCE, ImageAuth: btoa('me:secret') },
  ],
  ['no body where every field may be left out', () => validateBody(OPERATIONS.DeleteInstances, undefined), {}],
  ['a body where there is none, which is not looked at', () => validateBody(OPERATIONS.StartInstance, 'x'), undefined],
  [
    'no page, which is the first',
    () => validateQuery(OPERATIONS.ListInstanceSnapshot, {}),
    { PageNumber: 1, PageSize: 10 },
  ],
  ['no page of images, which has 20', () => validateQuery(OPERATIONS.ListImages, {}), { PageNumber: 1, PageSize: 20 }],
  [
    'numbers as text',
    () => validateQuery(OPERATIONS.ListInstanceSnapshot, { PageNumber: '3', PageSize: '100' }),
    { PageNumber: 3, PageSize: 100 },
  ],
  [
    'an order in any case',
    () => validateQuery(OPERATIONS.ListInstanceSnapshot, { Order: 'Desc' }),
    { Order: 'DESC', PageNumber: 1, PageSize: 10 },
  ],
  [
    'flags as Python writes them',
    () => validateQuery(OPERATIONS.StopInstance, { SaveImage: 'True' }),
    { SaveImage: true },
  ],
  ['an empty flag, which is nothing', () => validateQuery(OPERATIONS.StopInstance, { SaveImage: '' }), {}],
  ['an empty text, which is one', () => validateQuery(OPERATIONS.GetInstance, { Fields: '' }), { Fields: '' }],
  [
    'one JSON text',
    () =>
      validateQuery(OPERATIONS.ListInstances, { Labels: '{"a":"b"}', Tag: '[{"Key":"k","Value":"v"}]', PageSize: '1' }),
    { Labels: { a: 'b' }, Tag: [{ Key: 'k', Value: 'v' }], PageNumber: 1, PageSize: 1 },
  ],
  [
    'an empty JSON text, which is nothing',
    () => validateQuery(OPERATIONS.ListInstances, { Labels: '', Tag: 'null' }),
    { PageNumber: 1, PageSize: 10 },
  ],
  [
    'unknown parameters, which are left out',
    () => validateQuery(OPERATIONS.StartInstance, { RegionId: 'cn-hangzhou' }),
    {},
  ],
  [
    'the extension DeleteImage',
    () => validateQuery(OPERATIONS.DeleteInstanceSnapshot, { DeleteImage: 'true' }),
    { DeleteImage: true },
  ],
  [
    'parameters of a path',
    () => validateParams(OPERATIONS.GetInstanceSnapshot, { InstanceId: 'dsw-1', SnapshotId: 'snp-1' }),
    { InstanceId: 'dsw-1', SnapshotId: 'snp-1' },
  ],
  [
    'an id that nobody has',
    () => validateParams(OPERATIONS.GetInstance, { InstanceId: '../etc' }),
    { InstanceId: '../etc' },
  ],
  [
    'a schedule',
    () => validateBody(OPERATIONS.CreateSchedule, { ...SCHEDULE, TimeZone: 'Asia/Shanghai', KeepLast: 7 }),
    { ...SCHEDULE, TimeZone: 'Asia/Shanghai', KeepLast: 7 },
  ],
  [
    'a registry with an IPv6 address',
    () => validateBody(OPERATIONS.CreateRegistry, { Host: '[::1]:5000' }),
    { Host: '[::1]:5000' },
  ],
]
for (const [reason, work, expected] of taken) {
  test(`taken: ${reason}`, () => {
    assert.deepEqual(work(), expected)
  })
}

test('a parameter of a path must not be empty, and the kind of a check is one', () => {
  assertRefused(() => validateParams(OPERATIONS.GetInstance, { InstanceId: '' }), 'InstanceId must not be empty.')
  assertRefused(
    () => validateParams(OPERATIONS.CreateSanityCheckTask, { CheckType: 'RDP' }),
    'CheckType must be SSH, not "RDP".',
  )
})

test('whatever JSON comes, each operation takes it or says in one sentence why not', () => {
  type Known = Operation & { readonly action: Action }
  const operations: readonly Known[] = Object.values(OPERATIONS)
  const named = (operation: Operation) => Object.keys(operation.body?.properties ?? operation.query.properties)
  const requests = fc
    .constantFrom(...operations)
    .chain((operation) =>
      fc.tuple(
        fc.constant(operation),
        fc.oneof(fc.jsonValue(), fc.dictionary(fc.constantFrom('X', ...named(operation)), fc.jsonValue())),
      ),
    )
  const run = (work: () => unknown) => {
    try {
      work()
    } catch (error) {
      assert.ok(error instanceof AppError && error.code === 'validation_failed', String(error))
      assert.match(error.message, /^[^\n\0]+\.$/s)
      assert.ok(error.message.length < 500)
    }
  }
  fc.assert(
    fc.property(requests, ([operation, value]) => {
      run(() => validateBody(operation, value))
      const texts = Object.entries(Object(value)).map(([name, item]) => [name, JSON.stringify(item)])
      run(() => validateQuery(operation, Object.fromEntries(texts)))
    }),
    { numRuns: 2000 },
  )
})

test('what is taken is taken again, and stays the same', () => {
  const body = { ...SNAPSHOT, Labels: labels('a'), ExcludePaths: ['/root/.cache'], Overwrite: true }
  const once = validateBody(OPERATIONS.CreateInstanceSnapshot, body)
  assert.deepEqual(validateBody(OPERATIONS.CreateInstanceSnapshot, once), once)
  assert.deepEqual(once, body)
})

test('a request of a megabyte is refused in no time', () => {
  const bombs = [
    { ...SNAPSHOT, ExcludePaths: Array(300_000).fill('/a') },
    { ...SNAPSHOT, Labels: Array(100_000).fill({ Key: 1 }) },
    { ...SNAPSHOT, SnapshotName: '-'.repeat(1_000_000) },
    { ...SNAPSHOT, ImageUrl: '\u{1f600}'.repeat(250_000) },
  ]
  const start = process.cpuUsage()
  for (const bomb of bombs) assert.throws(() => validateBody(OPERATIONS.CreateInstanceSnapshot, bomb), AppError)
  const { user } = process.cpuUsage(start)
  assert.ok(user < 1_000_000, `${user} µs`)
})
