#!/usr/bin/env node
// npm links programs while it installs, before anything is built; so the program that it links has to be here already.
try {
  await import('../dist/cli/main.js')
} catch (error) {
  if (error?.code !== 'ERR_MODULE_NOT_FOUND') throw error
  console.error(`posthaste: not built yet (${error.message}). Run \`npm run build\` first.`)
  process.exit(1)
}
