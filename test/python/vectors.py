"""Decodes and encodes the golden vectors with msgpack alone: what PROTOCOL.md says is all that a client needs."""
import json
import unittest
from pathlib import Path

import msgpack

VECTORS = Path(__file__).parents[2] / 'packages/protocol/test/vectors'
NUMBERS = {name: number for first, names in (
    (1, 'hello renew ping send resume ack read query realtime realtimeAck typing watch groupCreate groupDelete '
        'memberSet members receipts block'),
    (32, 'welcome error pong result refuse deliver skip acked mark status counts readMark statuses realtimeDeliver '
         'realtimeResult typingEvent presence group reply membersReply receiptsReply renewed'),
) for number, name in enumerate(names.split(), first)}


def vectors(name):
    return json.loads((VECTORS / f'{name}.json').read_text(encoding='utf-8'))


def wire(value, name=''):
    """A vector's value as MessagePack has it: objects are arrays, ids are decimal in JSON, bytes hexadecimal."""
    if name == 'id':
        return int(value)
    if name in ('body', 'device'):
        return bytes.fromhex(value)
    if isinstance(value, dict):
        return [NUMBERS[field] if key == 'kind' else wire(field, key) for key, field in value.items()]
    return [wire(item) for item in value] if isinstance(value, list) else value


def decode(data):
    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    packets = list(unpacker)
    assert unpacker.tell() == len(data), 'bytes left over'
    return packets


class Vectors(unittest.TestCase):
    def test_packets_are_encoded_as_the_vectors_say(self):
        for direction in 'client', 'server':
            for vector in vectors(direction):
                with self.subTest(direction, **vector):
                    self.assertEqual(msgpack.packb(wire(vector['packet'])).hex(), vector['hex'])

    def test_packets_are_decoded_as_the_vectors_say(self):
        for direction in 'client', 'server':
            for vector in vectors(direction):
                with self.subTest(direction, **vector):
                    self.assertEqual(decode(bytes.fromhex(vector['hex'])), [wire(vector['packet'])])

    def test_other_widths_are_decoded(self):
        for vector in vectors('accepted'):
            with self.subTest(**vector):
                self.assertEqual(decode(bytes.fromhex(vector['hex'])), [wire(packet) for packet in vector['packets']])

    def test_every_packet_has_a_vector(self):
        kinds = {vector['packet']['kind'] for direction in ('client', 'server') for vector in vectors(direction)}
        self.assertEqual(kinds, set(NUMBERS))


if __name__ == '__main__':
    unittest.main()
