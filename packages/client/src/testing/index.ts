/** A server and its clients in one process, under a clock that the test holds. See `createTestServer`. */
export { createTestServer, type TestClientOptions, TestServer, type TestServerOptions } from './testServer.ts'
