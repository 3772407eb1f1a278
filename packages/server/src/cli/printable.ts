/** The most characters of a body that a terminal gets. */
export const shownCharactersMax = 1_000

/** Text without what a terminal would obey: control characters become escapes, the rest stays. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    return character === '\t' ? character : `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`
  })
}

/** The same for text of several lines. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

/** The body as text, `undefined` when it is no well-formed UTF-8. A byte order mark stays. */
export function textOf(body: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)
  } catch {
    return undefined
  }
}

/**
 * A body for people: as text, where it is well-formed UTF-8 whose only control characters are tabs, line ends and escapes; else its size and type.
 * A terminal gets the first 1,000 characters and the size. What it would obey is not in it, newlines aside when they are kept.
 */
export function shownBody(
  message: { readonly body: Uint8Array; readonly type: number },
  { isTerminal, keepsNewlines }: { isTerminal: boolean; keepsNewlines: boolean },
): string {
  const { body, type } = message
  const text = textOf(body)
  const size = `${body.length.toLocaleString('en-US')} ${body.length === 1 ? 'byte' : 'bytes'}`
  if (text === undefined || /[^\P{Cc}\t\n\r]/u.test(text.replaceAll('\u001b', '')))
    return `<${size}${type === 0 ? '' : `, type ${type}`}>`
  const isCut = isTerminal && text.length > shownCharactersMax
  // Not within a surrogate pair.
  const shown = isCut ? text.slice(0, shownCharactersMax).replace(/[\ud800-\udbff]$/, '') : text
  return `${keepsNewlines ? printableLines(shown) : printable(shown)}${isCut ? `… (${size})` : ''}`
}
