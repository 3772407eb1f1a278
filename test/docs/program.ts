/** The process in which the snippets in TypeScript run, one after the other, so that what one exports the next can import. */
import { format } from 'node:util'

process.on('message', (file: string) => {
  run(file).then(
    (output) => process.send?.({ output }),
    (error: unknown) => process.send?.({ error: format(error) }),
  )
})
// Whoever started this has gone.
process.on('disconnect', () => process.exit())

async function run(file: string): Promise<string> {
  let output = ''
  console.log = (...values: unknown[]) => {
    output += `${format(...values)}\n`
  }
  await import(file)
  return output
}
