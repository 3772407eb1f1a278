import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { codesTable, withCodes } from '../../../scripts/codes.ts'
import { type AnyShape, clientShapes, serverShapes } from '../src/index.ts'

const document = readFileSync(new URL('../../../PROTOCOL.md', import.meta.url), 'utf8')

describe('PROTOCOL.md', () => {
  test('has the table of codes of today', () => {
    expect(document).toContain(codesTable())
    expect(withCodes(document)).toBe(document)
  })

  test('gets a changed table of codes in its place', () => {
    expect(withCodes(document.replace('| 2 | `sent` |', '| 2 | `cent` |'))).toBe(document)
  })

  test.each(rowsOf([...clientShapes, ...serverShapes]))('names the number and the fields of %s', (_name, row) => {
    expect(documentedRows()).toContain(row)
  })

  test('names no packet that is not there', () => {
    expect(documentedRows()).toHaveLength(clientShapes.length + serverShapes.length)
  })

  test('has the packets of either direction in the order of their numbers', () => {
    for (const shapes of [clientShapes, serverShapes]) {
      const numbers = shapes.map(({ number }) => number)
      expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b))
    }
  })
})

function rowsOf(shapes: readonly AnyShape[]): [name: string, row: string][] {
  return shapes.map(({ number, kind, fields }) => {
    const name = kind.replace(/[A-Z]/g, '_$&').toUpperCase()
    return [name, `${number} ${name}: ${Object.keys(fields).join(', ')}`]
  })
}

/** The rows of the two tables of packets, without what is said of each field in brackets or after its name. */
function documentedRows(): string[] {
  return [...document.matchAll(/^\| (\d+) \| ([A-Z_]+) \| (.*) \|$/gm)].map(([, number, name, text = '']) => {
    let fields = text
    // From the inside out, since brackets nest.
    while (/[([]/.test(fields)) fields = fields.replace(/\([^()[\]]*\)|\[[^()[\]]*\]/g, '')
    const names = fields.split(',').map((field) => /\w+/.exec(field)?.[0])
    return `${number} ${name}: ${names.join(', ')}`
  })
}
