import type { ColumnTypes } from './types.ts'

/**
 * Indexes of all parts of three letters, for lists by a part of a name: the only way to read few of 100 000 names. What
 * SQLite's has by number has its instance in `instance_numbers`: row ids of its own may change when a file is compacted.
 */
export function searchIndexes({ kind, text }: ColumnTypes): readonly string[] {
  return kind === 'sqlite' ? sqliteSearch(text) : [POSTGRES_SEARCH]
}

function sqliteSearch(text: string): readonly string[] {
  const numberOf = (row: 'new' | 'old') =>
    `(select number from instance_numbers where instance_id = ${row}.instance_id)`
  const add = `insert into instance_search (rowid, name, image_name) values (${numberOf('new')}, new.name, new.image_name);`
  const remove = `delete from instance_search where rowid = ${numberOf('old')};`
  const isRenamed = 'old.name <> new.name or old.image_name <> new.image_name'
  return [
    `create table instance_numbers (number integer primary key, instance_id ${text} not null unique)`,
    // Without the texts themselves: what is found is compared with the row.
    `create virtual table instance_search using fts5 (name, image_name,
      content = '', contentless_delete = 1, tokenize = 'trigram', detail = column)`,
    `create trigger instances_found after insert on instances begin
      insert into instance_numbers (instance_id) values (new.instance_id); ${add} end`,
    `create trigger instances_renamed after update of name, image_name on instances when ${isRenamed} begin
      ${remove} ${add} end`,
    `create trigger instances_lost after delete on instances begin
      ${remove} delete from instance_numbers where instance_id = old.instance_id; end`,
  ]
}

/**
 * By an extension that comes with PostgreSQL, and that whoever may create things in the database may add. Where it is
 * missing, all names are read. `lower`, of a column that knows the case of ASCII only, so that the index does not depend
 * on the locale. Without a list of what is to be indexed later: every search would have to read all of it.
 */
const POSTGRES_SEARCH = `do $$ begin
    create extension if not exists pg_trgm;
    create index instances_search_name on instances using gin (lower(name) gin_trgm_ops) with (fastupdate = off);
    create index instances_search_image on instances using gin (lower(image_name) gin_trgm_ops) with (fastupdate = off);
  exception when insufficient_privilege or feature_not_supported or undefined_file or undefined_object then
    raise notice 'pg_trgm cannot be had: lists by a part of a name read all names';
  end $$`
