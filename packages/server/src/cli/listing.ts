import { type AdminClient, property } from './admin-client.ts'
import { columns, type Output } from './output.ts'

/** The most that the API gives at once. */
const pageItems = 256

/**
 * Prints a list of the HTTP API, page by page: a line for each item.
 * @param path below `/v1`
 */
export async function printList(
  client: AdminClient,
  path: string,
  output: Output,
  rowOf: (item: unknown) => readonly string[],
): Promise<void> {
  for (let after = ''; ; ) {
    const query = new URLSearchParams({ limit: String(pageItems), ...(after === '' ? {} : { after }) })
    const { value } = await client.call('GET', `${path}?${query}`)
    const found = property(value, 'items')
    const items = Array.isArray(found) ? found : []
    if (output.isJson) for (const item of items) await output.result(item, '')
    else if (items.length > 0) await output.result(undefined, columns(items.map((item) => [...rowOf(item)])))
    const next = property(value, 'next')
    if (typeof next !== 'string' || next === '') return
    after = next
  }
}

/** A member, or a group that somebody is a member of, and the rights there. */
export function rolesRow(item: unknown): string[] {
  const roles = property(item, 'roles')
  return [String(property(item, 'user') ?? property(item, 'group')), Array.isArray(roles) ? roles.join(',') : String(roles)]
}

/** A JSON object as lines of name and value, for people: without the times that are there in words too. */
export function tableOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value)
  const names = Object.keys(value)
  const rows = names
    .filter((name) => !(name.endsWith('Ms') && names.includes(name.slice(0, -2))))
    .map((name) => [name, cellOf(property(value, name))])
  return columns(rows)
}

function cellOf(value: unknown): string {
  if (value === null) return '-'
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
