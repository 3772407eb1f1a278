import { createHash, timingSafeEqual } from 'node:crypto'

/**
 * A check of `Authorization` headers for the admin key, in a time that tells nothing of the key.
 * @throws RangeError when the key is empty
 */
export function adminKeyCheck(adminKey: string): (authorization: string | undefined) => boolean {
  if (adminKey === '') throw new RangeError('The admin key is empty: the HTTP API would be open to anybody.')
  const expected = digest(adminKey)
  return (authorization = '') => {
    const key = /^bearer +(\S.*)$/i.exec(authorization)?.[1]
    return key !== undefined && timingSafeEqual(digest(key), expected)
  }
}

/** Equal lengths are what `timingSafeEqual` needs, whatever was sent. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
