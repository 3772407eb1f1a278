/** Runs code in a real browser: bundles an entry, serves it on the loopback interface and opens it in Chromium. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'
import { type Browser, type BrowserContext, chromium } from 'playwright-core'

const packagesPath = fileURLToPath(new URL('../../../', import.meta.url))

/** What to serve. */
export interface PageSource {
  /** Path of the TypeScript file that the page loads as a module. */
  readonly entry: string
  /** The document around it. By default an empty body; a document of one's own loads the module from `/entry.js`. */
  readonly html?: string
}

/** A page that is being served. */
export interface ServedPage {
  /** Where it is, such as `http://127.0.0.1:40123/`. */
  readonly url: string
  /** Stops the server and ends its connections. */
  close(): Promise<void>
}

const emptyPage = '<!doctype html><meta charset="utf-8"><title>Posthaste</title><script type="module" src="/entry.js"></script>'

const launchOptions = {
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-dev-shm-usage'],
}

/**
 * Starts Chromium without a window. One browser serves a whole test file; a context of it is one user's profile, with tabs of its
 * own, kept in memory and gone with the context.
 */
export function openBrowser(): Promise<Browser> {
  return chromium.launch(launchOptions)
}

/** Starts Chromium with one profile that is kept in a directory, for what must outlive the browser. */
export function openBrowserProfile(directory: string): Promise<BrowserContext> {
  return chromium.launchPersistentContext(directory, launchOptions)
}

/** Bundles the entry from the sources of this repository, without a build, as one module for browsers. */
export async function bundle(entry: string, options: { minify?: boolean } = {}): Promise<string> {
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    plugins: [packagesFromSources],
    minify: options.minify ?? false,
    sourcemap: options.minify === true ? false : 'inline',
    logLevel: 'error',
  })
  return result.outputFiles[0]?.text ?? ''
}

/** Bundles the entry and serves it on a free port of 127.0.0.1, where a page is a secure context: locks and storage work. */
export async function servePage({ entry, html = emptyPage }: PageSource): Promise<ServedPage> {
  const script = await bundle(entry)
  const server = createServer((request, response) => {
    if (request.url === '/entry.js') response.writeHead(200, { 'content-type': 'text/javascript' }).end(script)
    else if (request.url === '/') response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(html)
    else response.writeHead(404).end()
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** Resolves the names of this repository's packages to their sources. */
const packagesFromSources: Plugin = {
  name: 'packages-from-sources',
  setup({ onResolve }) {
    onResolve({ filter: /^@posthaste\/client\/(node|indexeddb|memory)$/ }, ({ path }) => ({
      path: `${packagesPath}client/src/stores/${path.split('/')[2]}.ts`,
    }))
    const { imports } = JSON.parse(readFileSync(`${packagesPath}client/package.json`, 'utf8'))
    onResolve({ filter: /^#/ }, ({ path }) => {
      // As a bundler for browsers picks it, whose conditions do not hold `node`.
      const built: string = imports[path].default
      return { path: `${packagesPath}client/${built.replace('./dist/', 'src/').replace(/\.js$/, '.ts')}` }
    })
    onResolve({ filter: /^@posthaste\/protocol\/schema$/ }, () => ({ path: `${packagesPath}protocol/src/schema.ts` }))
    onResolve({ filter: /^@posthaste\/(protocol|core|client)$/ }, ({ path }) => ({
      path: `${packagesPath}${path.split('/')[1]}/src/index.ts`,
    }))
  },
}
