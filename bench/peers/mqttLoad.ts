/** The load generator for MQTT brokers: pairs in a process of its own. Started by `Child`. */
import { settingsOf } from '../answering.ts'
import { answerFor } from '../loading.ts'
import { MqttPair, type MqttSettings } from './mqttPair.ts'

const settings = settingsOf<MqttSettings>()
answerFor(Array.from({ length: settings.pairs }, (_, number) => new MqttPair(number, settings)))
