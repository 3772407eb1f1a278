/**
 * A stable hash of 128 bits over a message's content, a character for each byte: FNV-1a in four lanes, each finished by murmur3's
 * mixer. Enough for telling retries from conflicts in tests; the real server takes SHA-256.
 */
export function contentHash(type: number, priority: number, receipts: boolean, body: Uint8Array): string {
  const lanes = [0x811c9dc5, 0x9747b28c, 0x85ebca6b, 0xc2b2ae35]
  const header = [type & 0xff, (type >>> 8) & 0xff, (type >>> 16) & 0xff, type >>> 24, priority, receipts ? 1 : 0]
  for (const bytes of [header, body]) {
    for (const byte of bytes) {
      for (let lane = 0; lane < 4; lane++) lanes[lane] = Math.imul((lanes[lane] ?? 0) ^ (byte + lane * 0x101), 0x01000193)
    }
  }
  return lanes.map((lane) => finish(lane ^ body.length)).join('')
}

function finish(lane: number): string {
  let mixed = Math.imul(lane ^ (lane >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  mixed ^= mixed >>> 16
  return String.fromCharCode(mixed & 255, (mixed >>> 8) & 255, (mixed >>> 16) & 255, mixed >>> 24)
}
