const fieldNames = new Map<string, string>()

/** As a row's field is called: `created_ms` is `createdMs`. There are few names, and they are asked for with every query. */
export function fieldNameOf(column: string): string {
  const known = fieldNames.get(column)
  if (known !== undefined) return known
  const name = column.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
  fieldNames.set(column, name)
  return name
}

/** One row with its fields, from its values in the order of `names`. */
export function makeRow(names: readonly string[], values: readonly unknown[]): Record<string, unknown> {
  const row: Record<string, unknown> = {}
  let index = 0
  for (const name of names) row[name] = values[index++]
  return row
}
