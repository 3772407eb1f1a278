import { execSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { Posthaste } from '@posthaste/client'
import { nodeStore } from '@posthaste/client/node'

const { url } = JSON.parse(readFileSync('.posthaste/server.json', 'utf8'))
const token = (user: string) => execSync(`npx posthaste token ${user}`, { encoding: 'utf8' }).trim() // yours: from your backend
const client = (user: string) => new Posthaste({ url, token: () => token(user), store: nodeStore(`.posthaste/hello/${user}`) })

const bob = client('bob')
bob.receive(async (message) => {
  console.log(`${message.from.user}: ${message.text()}`)
  await bob.markRead(message)
}) // returning acknowledges the message: it never comes again

const alice = client('alice')
const sent = await alice.send({ to: 'bob', body: 'hello', priority: 0, expirySeconds: 60 }) // safe in alice's outbox
await sent.waitFor('read')
console.log(`the message is ${sent.status}`)
await Promise.all([alice.close(), bob.close()])
