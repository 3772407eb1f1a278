/** The URL of the WebSocket: `http` becomes `ws`, and where there is no path, it is `/v1/connect`. @throws TypeError for what is no URL */
export function connectUrl(url: string): string {
  const parsed = new URL(url)
  parsed.protocol = parsed.protocol === 'https:' || parsed.protocol === 'wss:' ? 'wss:' : 'ws:'
  if (parsed.pathname === '/') parsed.pathname = '/v1/connect'
  return parsed.href
}
