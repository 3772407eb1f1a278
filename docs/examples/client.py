"""A Posthaste client that sends and receives exactly once. Python 3.11, msgpack, websockets; [n]: PROTOCOL.md, n.
Usage: client.py --url URL --token TOKEN --store FILE (send TO TEXT | listen [--count N]), in this order.
`listen` prints a message from its inbox, then marks it as printed: killed between the two, it prints that one again."""
import asyncio, base64, io, json, random, sqlite3, sys, time
from msgpack import Unpacker, packb, unpackb
from websockets import WebSocketException, connect
RETRYABLE = {0, 40, 41, 42, 43, 66, 73, 74, 75, 76, 78, 79}  # 68 and 69 want a fresh token: this program has but one.
SCHEMA = """PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS device (id, session, epoch, user, restored_ms, lanes);
INSERT INTO device SELECT randomblob(16), 0, 0, NULL, 0, x'90' WHERE NOT EXISTS (SELECT 1 FROM device);
CREATE TABLE IF NOT EXISTS inbox (n INTEGER PRIMARY KEY, key UNIQUE, sender, body, is_shown);
CREATE TABLE IF NOT EXISTS outbox (n INTEGER PRIMARY KEY, address, id, queued, deadline, body, status);"""
NEXT = 'SELECT n, address, id, deadline, body FROM outbox WHERE status = 1 ORDER BY n LIMIT 1'
now_ms = lambda: time.monotonic_ns() // 1_000_000
def parts(log, lane, up_to, ranges):  # What is said of a lane up to there, 256 ranges at a time [6].
    ranges = [[first, min(last, up_to)] for first, last in ranges if first <= up_to]
    ends = [first - 1 for first, _ in ranges[256::256]] + [up_to]
    return [[log, lane, end, ranges[256 * at:256 * at + 256]] for at, end in enumerate(ends)]

class Client:
    def __init__(self, url, token, path):
        self.url, self.token, self.shown, self.db = url, token, 0, sqlite3.connect(path, isolation_level=None)
        self.db.executescript(SCHEMA)  # A statement outside BEGIN is durable by itself.
        self.rows = lambda sql, *values: self.db.execute(sql, values).fetchall()
        user = json.loads(base64.urlsafe_b64decode(token.split('.')[1] + '=='))['sub']  # The store's.
        assert self.rows('UPDATE device SET user = ifnull(user, ?) RETURNING user', user) == [(user,)], 'wrong user'

    async def run(self, is_done, delay_s=0.1):  # Stays connected until then, or until an error that is final [4].
        while not is_done():
            began_ms, self.code, self.retry_ms = now_ms(), 0, 0
            try:
                async with connect(self.url + '/v1/connect', compression=None, max_size=2 << 20) as socket:
                    await self.converse(socket, is_done)
            except (OSError, ValueError, WebSocketException):
                self.code in RETRYABLE or sys.exit(f'error {self.code}')
                delay_s = 0.1 if now_ms() - began_ms > 10_000 else min(2 * delay_s, 30)
                await asyncio.sleep(self.retry_ms / 1000 or delay_s * random.random())

    async def converse(self, socket, is_done):  # The session's number is stored before it is sent.
        (device, session, self.epoch, _, self.restored_ms, lanes), = self.rows(
            'UPDATE device SET session = session + 1 RETURNING *')
        self.lanes = {(log, lane): [log, lane, *state] for log, lane, *state in unpackb(lanes)}
        heads = [parts(*state)[0] for state in unpackb(lanes)]  # What has no room comes again.
        self.ref, self.sending, self.beat_ms, is_asked, self.hello_ms = 1, None, 20_000, True, now_ms()
        await socket.send(packb([1, 1, 1, self.token, device, session, 'client.py', self.epoch, heads]))
        while not is_done():
            try:
                packets, is_asked = self.take(await asyncio.wait_for(socket.recv(), self.beat_ms / 1000)), False
            except TimeoutError:  # Nothing was heard: PING; after another such time, a new connection.
                if is_asked: raise
                packets, is_asked = [[3, now_ms()]], True
            for self.sending, to, id, deadline_ms, body in [] if self.sending else self.rows(NEXT):  # One at a time.
                packets.append([4, self.ref, 0, to, id, 0, 8, deadline_ms, False, body])
            for packet in packets:
                await socket.send(packb(packet))

    def take(self, message):  # Acts in one transaction; returns the ACKs, to be sent once that is durable [6].
        packets = [*Unpacker(io.BytesIO(message))]
        with self.db:
            self.rows('BEGIN')
            for packet in packets:
                self.act(packet)
            state = self.epoch, self.restored_ms, packb([*self.lanes.values()])
            self.rows('UPDATE device SET epoch = ?, restored_ms = ?, lanes = ?', *state)
        came = {(p[1], p[2]): p[p[0] - 34] for p in packets if p[0] in (37, 38)}  # Up to its seq, or to where it skips.
        return [[6, *part] for at, last in came.items() for part in parts(*at, last, self.lanes[at][3])]

    def act(self, packet):
        match packet:
            case [32, _, epoch, _, _, time_ms, body_bytes_max, expiry_s, _, beat, _]:
                if self.epoch not in (0, epoch):  # The server was restored from a backup.
                    self.lanes, self.restored_ms = {}, time_ms
                    self.rows('UPDATE outbox SET status = 1 WHERE status = 2')
                self.rows('UPDATE outbox SET status = 15 WHERE status = 1 AND length(body) > ?', body_bytes_max)
                self.rows('UPDATE outbox SET deadline = ? - 1000 * max(0, unixepoch() - queued) WHERE deadline IS NULL',
                          time_ms + (now_ms() - self.hello_ms) // 2 + 1000 * min(7 * 86_400, expiry_s))
                self.epoch, self.beat_ms, self.clock = epoch, beat, (time_ms - self.hello_ms, now_ms())
            case [33, code, retry_ms, _] | [36, _, code, retry_ms]:  # ERROR; REFUSE: connecting anew does for RESUME.
                self.code, self.retry_ms = code, retry_ms
                raise ConnectionError
            case [34, asked_ms, server_ms]:  # How far the server's clock is ahead of this one at most, and when [4].
                self.clock = server_ms - asked_ms, now_ms()
            case [35, _, status, *_]:
                self.rows('UPDATE outbox SET status = ? WHERE n = ?', status, self.sending)
                self.ref, self.sending = self.ref + 1, None
            case [37 | 38 as kind, log, lane, first, last, *_]:
                cursor, ranges = self.lanes.setdefault((log, lane), [log, lane, 0, []])[2:]
                last = last if kind == 38 else first
                if first > cursor + 1: raise ConnectionError  # A gap.
                if last > cursor and (kind == 38 or not self.store(*packet)):  # Neighbouring ranges are merged.
                    ranges.append([ranges.pop()[0] if ranges and ranges[-1][1] == cursor else cursor + 1, last])
                self.lanes[log, lane][2] = max(cursor, last)
            case [39, log, lane, up_to]:
                self.lanes[log, lane][3] = [pair for pair in self.lanes[log, lane][3] if pair[1] > up_to]

    def store(self, _, log, lane, seq, sender, name, count, id, type, time_ms, deadline_ms, receipts, echo_to, body):
        key = f'{log} {sender} {id} {echo_to}' if id else random.randbytes(16)
        latest_ms = now_ms() + self.clock[0] + (now_ms() - self.clock[1]) // 5000  # 200 ppm
        if deadline_ms > latest_ms and (id or time_ms >= self.restored_ms):
            self.rows('INSERT OR IGNORE INTO inbox VALUES (NULL, ?, ?, ?, ?)', key, name, body, echo_to is not None)
        return self.rows('SELECT 1 FROM inbox WHERE key = ?', key)  # What is late may have been stored before.

    def show(self, count):  # Prints what was not printed yet; returns whether that makes so many since the start.
        query = 'SELECT n, sender, body FROM inbox WHERE NOT is_shown ORDER BY n LIMIT ?'
        for n, sender, body in self.rows(query, count - self.shown):
            print(sender, body.decode(errors='replace'), sep='\t', flush=True)
            self.rows('UPDATE inbox SET is_shown = 1 WHERE n = ?', n)
            self.shown += 1
        return self.shown == count

    def queue(self, to, text):
        self.rows('INSERT INTO outbox VALUES (NULL, ?, abs(random()), unixepoch(), NULL, ?, 1)', to, text.encode())

if __name__ == '__main__':
    client, command, words = Client(*sys.argv[2:7:2]), sys.argv[7], sys.argv[8:]
    command == 'listen' and sys.exit(asyncio.run(client.run(lambda: client.show(int(words[1]) if words else -1))))
    client.queue(*words)
    asyncio.run(client.run(lambda: not client.rows(NEXT)))
    (status,), = client.rows('SELECT status FROM outbox ORDER BY n DESC LIMIT 1')
    sys.exit(None if status in (2, 4, 5) else f'status {status}')
