import { getHeapStatistics, setFlagsFromString } from 'node:v8'

/** By how much of what is alive a small heap may grow until all of it is collected, in percent: V8's own most. */
const growingPercent = 300
/** A heap that has become larger than this is V8's own affair: so much more would be a lot of memory. */
const smallBytes = 100_663_296
const lookEveryMs = 10_000

/**
 * Has this process collect its heap less often while that is small. V8 lets one of 20 MB grow by 8 MB, buffers included, when little is done: with
 * 40 messages of 64 KiB a second it collected all of it every 0.8 seconds, and everybody waited 10 to 20 ms for that.
 */
export function letHeapGrow(): void {
  look()
  setInterval(look, lookEveryMs).unref()
}

function look(): void {
  const isSmall = getHeapStatistics().used_heap_size < smallBytes
  setFlagsFromString(`--heap-growing-percent=${isSmall ? growingPercent : 0}`)
}
