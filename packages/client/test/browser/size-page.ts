/** What an app in a browser loads at least: the SDK and the store in IndexedDB. */
export { Posthaste } from '../../src/index.ts'
export { indexedDbStore } from '../../src/stores/indexeddb.ts'
