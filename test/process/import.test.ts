import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

/** What belongs to a page, a process or the network: code that runs on a server while a page is rendered must not look for it. */
const globals = [
  ...['window', 'self', 'document', 'navigator', 'location', 'indexedDB', 'localStorage', 'sessionStorage', 'caches'],
  ...['WebSocket', 'BroadcastChannel', 'Worker', 'SharedWorker', 'fetch', 'XMLHttpRequest', 'addEventListener', 'process'],
  ...['crypto', 'setTimeout', 'setInterval', 'queueMicrotask', 'requestAnimationFrame'],
]
const program = `
  const touched = []
  const { console: { log } } = globalThis
  for (const name of ${JSON.stringify(globals)}) {
    const value = globalThis[name]
    Object.defineProperty(globalThis, name, { configurable: true, get: () => { touched.push(name); return value } })
  }
  const modules = await Promise.all(['@posthaste/client', '@posthaste/client/indexeddb'].map((name) => import(name)))
  log(JSON.stringify({ touched, names: modules.flatMap((module) => Object.keys(module)) }))
`

it('touches nothing when it is imported, as where a page is rendered by a server', () => {
  const directory = fileURLToPath(new URL('../../packages/client', import.meta.url))
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', program], { cwd: directory })
  const { touched, names } = JSON.parse(output.toString())
  expect(touched).toEqual([])
  expect(names).toEqual(expect.arrayContaining(['Posthaste', 'indexedDbStore']))
})
