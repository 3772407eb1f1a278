/** The URL of the WebSocket: `http` becomes `ws`, and where there is no path, it is `/v1/connect`; `undefined` for what can be none. */
export function connectUrl(url: string): string | undefined {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  // Browsers refuse what follows a #, and the protocol's tokens are the only credentials.
  if (parsed === undefined || !/^(ws|http)s?:$/.test(parsed.protocol) || parsed.username + parsed.password + parsed.hash !== '')
    return
  parsed.protocol = parsed.protocol.replace('http', 'ws')
  if (parsed.pathname === '/') parsed.pathname = '/v1/connect'
  return parsed.href
}
