/** How fast Posthaste means to be beside others. */

/** By the pairs of a workload: how many times as fast as a peer. */
const ratios: Readonly<Record<number, Readonly<Record<string, number>>>> = {
  50: {
    'mosquitto-qos1': 1,
    'mosquitto-qos2': 2,
    'rabbitmq-quorum': 5,
    'ejabberd-qos1': 5,
    'ejabberd-qos2': 5,
    'aedes-qos1': 1,
    'aedes-qos2': 1,
  },
  1000: { 'mosquitto-qos2': 1.5 },
}

/**
 * How many times as fast as this peer Posthaste means to be; undefined where nothing was set.
 * @param pairs of the workload
 */
export function targetRatioOf(pairs: number, peer: string): number | undefined {
  return ratios[pairs]?.[peer]
}
