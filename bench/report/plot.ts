/** Plots as SVG: lines and bars, as much as the report needs. */

/** A line and its name. */
export interface Series {
  readonly name: string
  readonly points: readonly { readonly x: number; readonly y: number }[]
}

/** A bar, its name, and the group that gives it its colour. */
export interface Bar {
  readonly name: string
  readonly group: string
  readonly value: number
}

const colours = ['#2563a8', '#c2571a', '#3a8a5f', '#8a5aa8', '#7a7a7a']
const ink = '#222222'
const faint = '#dddddd'
const size = { width: 720, height: 320, left: 76, right: 24, top: 44, bottom: 52 } as const
/** Up to so many different x stand side by side with a label each; more lie where their value is. */
const placesMax = 6
const gridLines = 4
const barHeight = 22
const barLeft = 300

/** Lines over the same x axis, from 0 up. */
export function linePlot(title: string, xTitle: string, yTitle: string, series: readonly Series[]): string {
  const xs = [...new Set(series.flatMap(({ points }) => points.map(({ x }) => x)))].sort((left, right) => left - right)
  const top = niceAbove(Math.max(...series.flatMap(({ points }) => points.map(({ y }) => y))))
  const innerWidth = size.width - size.left - size.right
  const innerHeight = size.height - size.top - size.bottom
  const [first = 0, last = 1] = [xs[0], xs.at(-1)]
  const areLabelled = xs.length <= placesMax
  const shareOf = (x: number): number =>
    areLabelled ? (xs.indexOf(x) + 0.5) / xs.length : (x - first) / Math.max(1, last - first)
  const left = (x: number): number => size.left + innerWidth * shareOf(x)
  const down = (y: number): number => size.top + innerHeight * (1 - y / top)
  const parts: string[] = []
  for (let line = 0; line <= gridLines; line++) {
    const y = (top * line) / gridLines
    parts.push(
      lineOf(size.left, down(y), size.width - size.right, down(y), faint),
      text(size.left - 8, down(y) + 4, short(y), 'end'),
    )
  }
  const labelled = areLabelled ? xs : [first, Math.round((first + last) / 2), last]
  for (const x of labelled) parts.push(text(left(x), size.height - size.bottom + 18, x.toLocaleString('en'), 'middle'))
  parts.push(text(size.left + innerWidth / 2, size.height - 14, xTitle, 'middle'), text(8, size.top - 12, yTitle, 'start'))
  for (const [number, { points }] of series.entries()) {
    const colour = colourOf(number)
    const path = points.map(({ x, y }) => `${left(x).toFixed(1)},${down(y).toFixed(1)}`).join(' ')
    parts.push(`<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`)
    if (!areLabelled) continue
    for (const { x, y } of points) {
      parts.push(`<circle cx="${left(x).toFixed(1)}" cy="${down(y).toFixed(1)}" r="3.5" fill="${colour}"/>`)
      parts.push(text(left(x), down(y) - 8, short(y), 'middle', colour))
    }
  }
  const names = series.map(({ name }) => name)
  return svg(title, size.height, [...(names.length > 1 ? legend(names) : []), ...parts])
}

/** Bars from the left, the largest value as wide as there is room. Bars of a group have a colour of their own. */
export function barPlot(title: string, unit: string, bars: readonly Bar[]): string {
  const groups = [...new Set(bars.map(({ group }) => group))]
  const most = Math.max(...bars.map(({ value }) => value))
  const room = size.width - barLeft - 120
  const parts = bars.flatMap(({ name, group, value }, number) => {
    const y = size.top + 12 + number * barHeight
    const width = most === 0 ? 0 : (value / most) * room
    const fill = colourOf(groups.indexOf(group))
    return [
      `<rect x="${barLeft}" y="${y}" width="${width.toFixed(1)}" height="${barHeight - 6}" fill="${fill}"/>`,
      text(barLeft - 8, y + 12, name, 'end'),
      text(barLeft + width + 6, y + 12, `${Math.round(value).toLocaleString('en')} ${unit}`, 'start'),
    ]
  })
  return svg(title, size.top + 24 + bars.length * barHeight, [...legend(groups), ...parts])
}

function svg(title: string, height: number, parts: readonly string[]): string {
  const head = `<svg xmlns="http://www.w3.org/2000/svg" width="${size.width}" height="${height}" viewBox="0 0 ${size.width} ${height}" font-family="sans-serif" font-size="12">`
  const named = `<title>${escaped(title)}</title>`
  const heading = `<text x="8" y="18" fill="${ink}" font-size="14" font-weight="bold">${escaped(title)}</text>`
  return `${[head, named, `<rect width="100%" height="100%" fill="#ffffff"/>`, heading, ...parts, '</svg>'].join('\n')}\n`
}

/** The names of the colours, from the right. */
function legend(names: readonly string[]): string[] {
  let right = size.width - 8
  return [...names.entries()].reverse().flatMap(([number, name]) => {
    const words = text(right, 36, name, 'end')
    right -= 6.6 * name.length + 16
    const mark = `<rect x="${right}" y="27" width="10" height="10" fill="${colourOf(number)}"/>`
    right -= 14
    return [words, mark]
  })
}

function text(x: number, y: number, content: string, anchor: 'start' | 'middle' | 'end', fill = ink): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" fill="${fill}" text-anchor="${anchor}">${escaped(content)}</text>`
}

function lineOf(x1: number, y1: number, x2: number, y2: number, stroke: string): string {
  return `<line x1="${x1}" y1="${y1.toFixed(1)}" x2="${x2}" y2="${y2.toFixed(1)}" stroke="${stroke}"/>`
}

function colourOf(number: number): string {
  return colours[number % colours.length] ?? ink
}

/** 1, 2 or 4 times a power of ten, or half of one: the grid's numbers stay short. */
function niceAbove(value: number): number {
  if (value <= 0) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return ([1, 2, 4, 6, 8, 10].find((times) => times * power >= value) ?? 10) * power
}

function short(value: number): string {
  if (value >= 10_000) return `${Number((value / 1_000).toFixed(1)).toLocaleString('en')}k`
  return Number(value.toPrecision(3)).toLocaleString('en')
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
