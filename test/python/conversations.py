"""Plays the server's part against docs/examples/client.py, packet by packet: what a real one does but now and then."""
import asyncio
import contextlib
import io
import sqlite3
import sys
import tempfile
import time
import unittest
from pathlib import Path

import msgpack
from websockets.asyncio.server import serve

sys.path.insert(0, str(Path(__file__).parents[2] / 'docs/examples'))
from client import Client  # noqa: E402

LOG, LANE, ALICE, DAY_MS = 7, 8, 5, 86_400_000
PATIENCE_S = 20
TOKEN = '.eyJzdWIiOiJib2IifQ.'  # {"sub":"bob"}


def now_ms():
    return time.time_ns() // 1_000_000


def welcome(epoch=1, heartbeat_ms=25_000):
    return [32, 1, epoch, LOG, 'bob', now_ms(), 65_536, 2_592_000, 0, heartbeat_ms, []]


def deliver(seq, body=b'x', key=None, deadline_ms=None, echo_to=None, time_ms=None):
    return [37, LOG, LANE, seq, ALICE, 'alice', seq, seq if key is None else key, 0, time_ms or now_ms(),
            now_ms() + DAY_MS if deadline_ms is None else deadline_ms, False, echo_to, body]


class Connection:
    """One connection of the client's, seen from the server."""

    def __init__(self, socket):
        self.socket = socket

    async def send(self, *packets):
        await self.socket.send(b''.join(map(msgpack.packb, packets)))

    async def receive(self, number):
        """The fields of the next packet, which must be one of that number."""
        packet = msgpack.unpackb(await asyncio.wait_for(self.socket.recv(), PATIENCE_S))
        assert packet[0] == number, f'{number} was expected: {packet}'
        return packet[1:]

    async def closed(self):
        await asyncio.wait_for(self.socket.wait_closed(), PATIENCE_S)


class Conversations(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.store = Path(self.enterContext(tempfile.TemporaryDirectory())) / 'store.db'
        self.arrived = asyncio.Queue()
        self.server = await self.enterAsyncContext(serve(self.accept, '127.0.0.1', 0, max_size=2 << 20))
        self.printed = io.StringIO()
        self.enterContext(contextlib.redirect_stdout(self.printed))

    async def accept(self, socket):
        assert socket.request.path == '/v1/connect'
        await self.arrived.put(Connection(socket))
        await socket.wait_closed()

    def start(self, count=None, queue=()):
        """Starts a client that ends after it printed so many messages, or after what it queued has verdicts."""
        port = self.server.sockets[0].getsockname()[1]
        client = Client(f'ws://127.0.0.1:{port}', TOKEN, self.store)
        for text in queue:
            client.queue('carol', text)
        waiting = 'SELECT 1 FROM outbox WHERE status = 1'
        running = asyncio.create_task(
            self.ending(client, lambda: client.show(count) if count else not client.rows(waiting)))
        running.add_done_callback(lambda _: client.db.close())
        self.addAsyncCleanup(self.stop, running)
        return running

    async def ending(self, client, is_done):
        """Why the client ended the process; None when it was done."""
        try:
            await client.run(is_done)
        except SystemExit as end:
            return end.code

    async def stop(self, running):
        running.cancel()
        await asyncio.wait([running])

    async def next(self, *, epoch=1):
        """The client's next connection with its HELLO, which was answered by WELCOME."""
        connection = await asyncio.wait_for(self.arrived.get(), PATIENCE_S)
        connection.hello = await connection.receive(1)
        await connection.send(welcome(epoch))
        return connection

    def lines(self):
        return self.printed.getvalue().splitlines()

    async def test_a_device_keeps_its_id_and_counts_its_sessions(self):
        hellos = []
        for _ in range(2):
            running = self.start(1)
            connection = await self.next()
            hellos.append(connection.hello)
            await connection.send([38, LOG, LANE, 1, len(hellos), 1])
            await connection.receive(6)
            await self.stop(running)
        first, second = hellos
        self.assertEqual((len(first[3]), first[3], first[4], first[6]), (16, second[3], 1, 0))
        self.assertEqual((second[4], second[6]), (2, 1))

    async def test_entries_are_acknowledged_once_a_message_and_known_after_a_restart(self):
        running = self.start(2)
        connection = await self.next()
        await connection.send(deliver(1, b'one'), deliver(2, b'two'))
        self.assertEqual(await connection.receive(6), [LOG, LANE, 2, []])
        await running
        running = self.start(1)
        connection = await self.next()
        self.assertEqual(connection.hello[7], [[LOG, LANE, 2, []]])
        await connection.send(deliver(2, b'two'))
        self.assertEqual(await connection.receive(6), [LOG, LANE, 2, []])
        await connection.send(deliver(3, b'three'))
        self.assertEqual(await connection.receive(6), [LOG, LANE, 3, []])
        await running
        self.assertEqual(self.lines(), ['alice\tone', 'alice\ttwo', 'alice\tthree'])

    async def test_more_ranges_than_a_packet_may_have_are_told_in_several_and_only_up_to_what_came(self):
        ranges = [[seq, seq] for seq in range(1, 601, 2)]
        passed = [packet for seq in range(1, 601, 2) for packet in ([38, LOG, LANE, seq, seq, 1], deliver(seq + 1))]
        self.start(1000)
        connection = await self.next()
        await connection.send(*passed)
        self.assertEqual(await connection.receive(6), [LOG, LANE, 512, ranges[:256]])
        self.assertEqual(await connection.receive(6), [LOG, LANE, 600, ranges[256:]])
        await connection.socket.close()
        connection = await self.next()
        self.assertEqual(connection.hello[7], [[LOG, LANE, 512, ranges[:256]]])
        await connection.send([39, LOG, LANE, 512])
        await connection.send(*passed[512:520])
        self.assertEqual(await connection.receive(6), [LOG, LANE, 520, ranges[256:260]])
        await connection.send([38, LOG, LANE, 521, 601, 1])
        self.assertEqual(await connection.receive(6), [LOG, LANE, 601, [*ranges[256:], [601, 601]]])

    async def test_a_gap_ends_the_connection_and_nothing_of_that_message_counts(self):
        self.start(2)
        connection = await self.next()
        await connection.send(deliver(1), deliver(3))
        await connection.closed()
        connection = await self.next()
        self.assertEqual(connection.hello[7], [])
        await connection.send([38, LOG, LANE, 2, 3, 1])
        await connection.closed()

    async def test_what_is_late_or_skipped_is_named_until_it_is_confirmed(self):
        self.start(9)
        connection = await self.next()
        late = deliver(6, deadline_ms=now_ms())
        await connection.send([38, LOG, LANE, 1, 4, 2], deliver(5), late, [38, LOG, LANE, 5, 8, 1])
        self.assertEqual(await connection.receive(6), [LOG, LANE, 8, [[1, 4], [6, 8]]])
        await connection.send([38, LOG, LANE, 2, 8, 1])
        self.assertEqual(await connection.receive(6), [LOG, LANE, 8, [[1, 4], [6, 8]]])
        await connection.socket.close()
        connection = await self.next()
        self.assertEqual(connection.hello[7], [[LOG, LANE, 8, [[1, 4], [6, 8]]]])
        await connection.send([39, LOG, LANE, 4], deliver(9))
        self.assertEqual(await connection.receive(6), [LOG, LANE, 9, [[6, 8]]])
        await connection.send([39, LOG, LANE, 9], [38, LOG, LANE, 8, 11, 1])
        self.assertEqual(await connection.receive(6), [LOG, LANE, 11, [[10, 11]]])

    async def test_a_known_key_counts_as_stored_and_two_echoes_of_one_id_are_two_messages(self):
        running = self.start(3)
        connection = await self.next()
        echoes = [deliver(seq, key=9, echo_to=[0, name]) for seq, name in ((3, 'bob'), (4, 'carol'))]
        await connection.send(deliver(1, b'one', key=9), deliver(2, b'again', key=9), *echoes, deliver(5, b'0', key=0))
        self.assertEqual(await connection.receive(6), [LOG, LANE, 5, []])
        await connection.send(deliver(6, b'0', key=0))
        await running
        self.assertEqual(self.lines(), ['alice\tone', 'alice\t0', 'alice\t0'])
        with contextlib.closing(sqlite3.connect(self.store)) as store:
            self.assertEqual(store.execute('SELECT count(*) FROM inbox').fetchone(), (5,))

    async def test_a_message_is_sent_again_with_its_deadline_and_its_id_until_its_verdict(self):
        running = self.start(queue=['one', 'two'])
        connection = await self.next()
        first = await connection.receive(4)
        await connection.socket.close()
        connection = await self.next()
        self.assertEqual(await connection.receive(4), first)
        self.assertEqual((first[0], first[8], first[2]), (1, b'one', 'carol'))
        await connection.send([35, 1, 2, 11, 1, now_ms()])
        second = await connection.receive(4)
        self.assertEqual((second[0], second[8]), (2, b'two'))
        await connection.send([36, 2, 40, 50])
        await connection.closed()
        connection = await self.next()
        self.assertEqual((await connection.receive(4))[1:], second[1:])
        await connection.send([35, 1, 16, 11, 0, now_ms()])
        await running

    async def test_what_is_too_large_gets_its_verdict_without_being_sent(self):
        running = self.start(queue=['x' * 65_537, 'x' * 65_536])
        connection = await self.next()
        self.assertEqual(len((await connection.receive(4))[8]), 65_536)
        await connection.send([35, 1, 2, 11, 1, now_ms()])
        await running

    async def test_a_new_epoch_drops_cursors_keeps_keys_and_sends_again(self):
        running = self.start(queue=['one'])
        connection = await self.next()
        sent = await connection.receive(4)
        await connection.send(deliver(1, b'kept'), deliver(2, b'fleeting', key=0), [35, 1, 2, 11, 1, now_ms()])
        await running
        self.start(9)
        connection = await self.next(epoch=2)
        self.assertEqual(connection.hello[6:], [1, [[LOG, LANE, 2, []]]])
        self.assertEqual((await connection.receive(4))[1:], sent[1:])
        before_ms = now_ms() - 60_000
        again = deliver(1, b'kept'), deliver(2, b'fleeting', key=0, time_ms=before_ms), deliver(3, b'new', key=3)
        await connection.send(*again)
        self.assertEqual(await connection.receive(6), [LOG, LANE, 3, [[2, 2]]])
        await connection.socket.close()
        connection = await self.next(epoch=2)
        self.assertEqual(self.lines(), ['alice\tkept', 'alice\tfleeting', 'alice\tnew'])
        self.assertEqual(connection.hello[6:], [2, [[LOG, LANE, 3, [[2, 2]]]]])

    async def test_it_pings_and_gives_up_on_silence(self):
        self.start(1)
        connection = await asyncio.wait_for(self.arrived.get(), PATIENCE_S)
        await connection.receive(1)
        await connection.send(welcome(heartbeat_ms=300))
        await connection.receive(3)
        await connection.closed()
        await self.next()

    async def test_it_does_not_come_back_when_it_must_not(self):
        for code, comes_back in (70, False), (76, True):
            running = self.start(1)
            connection = await asyncio.wait_for(self.arrived.get(), PATIENCE_S)
            await connection.send([33, code, 30, 'why'])
            await connection.socket.close(4_000 + code)
            if comes_back:
                await self.next()
                await self.stop(running)
            else:
                self.assertEqual(await asyncio.wait_for(running, PATIENCE_S), 'error 70')


if __name__ == '__main__':
    unittest.main()
