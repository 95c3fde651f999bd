import { DOCUMENTED } from './contract-file.ts'
import type { DocumentedField } from './contract-file.ts'

/** What the answers to one operation have shown, by path, such as `Snapshots[].Labels[].Key`. */
export interface Shown {
  readonly problems: string[]
  /** Fields that were there, with whatever is inside of them where they were null. */
  readonly paths: Set<string>
}

export const documentedOperation = (action: string) =>
  DOCUMENTED.find(({ operation }) => operation.action === action)!.operation

/** Compare an answer with what the contract declares: no other name, no other casing, no other type. */
export function compareAnswer(action: string, answer: Readonly<Record<string, unknown>>, shown: Shown): void {
  compareObject(answer, documentedOperation(action).response.fields, '', shown)
}

function compareObject(value: object, fields: readonly DocumentedField[], at: string, shown: Shown): void {
  for (const [name, inner] of Object.entries(value)) {
    const path = at === '' ? name : `${at}.${name}`
    const field = fields.find((one) => one.name === name)
    if (field) compareField(inner, field, path, shown)
    else shown.problems.push(`${path} is not declared`)
  }
}

function compareField(value: unknown, field: DocumentedField, path: string, shown: Shown): void {
  shown.paths.add(path)
  if (value === null) {
    if (field.required) shown.problems.push(`${path} is required, and null`)
  } else if (!hasType(value, field))
    shown.problems.push(`${path} is no ${field.format ?? field.type}: ${String(value)}`)
  else if (Array.isArray(value)) compareItems(value, field, path, shown)
  else if (field.type === 'object') compareObject(value as object, field.fields ?? [], path, shown)
}

function hasType(value: unknown, { type, format }: DocumentedField): boolean {
  if (type === 'array') return Array.isArray(value)
  if (type === 'number') return format?.startsWith('int') ? Number.isSafeInteger(value) : Number.isFinite(value)
  if (type === 'object' || type === 'map') return typeof value === 'object' && !Array.isArray(value)
  return typeof value === type
}

function compareItems(items: readonly unknown[], field: DocumentedField, path: string, shown: Shown): void {
  for (const item of items) {
    if (Array.isArray(item)) compareItems(item, field, `${path}[]`, shown)
    else if (field.fields) compareObject(Object(item), field.fields, `${path}[]`, shown)
    else {
      shown.paths.add(`${path}[]`)
      if (typeof item !== field.itemType) shown.problems.push(`${path}[] is no ${field.itemType}: ${String(item)}`)
    }
  }
}
