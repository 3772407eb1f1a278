/** The HTTP API of the admin listener, and the help pages that both listeners serve. */
export { createHttpApi, type HttpApiOptions } from './api.ts'
export { errorPage, type Help, helpOf } from './help.ts'
