"""How long the released client gets no good answer: `outage.py etcd://HOST:PORT METADATA,METADATA`.

One call at a time, a put of a new key and a get of one that is there, as fast as answers come. A line `mark` on stdin
begins a measurement; `tell` ends it at the next good put and the next good get, and is answered with one line of JSON.
Any other line, or the end of stdin, ends the script.
"""

import json
import select
import sys
import time

from harness import Check, client, finish, forwarded, until, value_of

SEGMENT_BYTES = 256 << 20
SIZE = 300
KEPT = 64
# After a call that failed; a client that asks without a pause would only measure itself.
PAUSE_S = 0.001


class Kind:
    """One kind of call: when it was last answered well, and the longest time that it was not."""

    def __init__(self):
        self.mark()

    def mark(self):
        self.good_at = time.monotonic()
        self.longest = 0.0
        self.failed = 0
        self.good = 0

    def note(self, good):
        now = time.monotonic()
        if not good:
            self.failed += 1
            time.sleep(PAUSE_S)
            return
        self.longest = max(self.longest, now - self.good_at)
        self.good_at = now
        self.good += 1


def said():
    """A line that came in meanwhile; None without one, an empty text at the end."""
    ready, _, _ = select.select([sys.stdin], [], [], 0)
    return sys.stdin.readline() if ready else None


def step(check, store, nr, puts, gets):
    """A put and a get."""
    check.puts += 1
    key = f"outage-{nr}"
    puts.note(store.put(key, value_of("outage", SIZE)) == 0)
    there = f"there-{nr % KEPT}"
    check.gets += 1
    got = bytes(store.get(there))
    if got and got != value_of(there, SIZE):
        check.wrong += 1
        check.failed.append(f"get {there}: {len(got)} bytes that are not those written")
    gets.note(bool(got))


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: outage.py etcd://HOST:PORT METADATA,METADATA")
    check = Check()
    metadata, _forwarder = forwarded(sys.argv[2].split(","))
    store = client(check, sys.argv[1], SEGMENT_BYTES, metadata)
    if check.failed:
        finish(check)
    for nr in range(KEPT):
        key = f"there-{nr}"
        put = until(f"put {key}", lambda key=key: store.put(key, value_of(key, SIZE)) == 0)
        check.equal(f"put {key}", put, True)
    puts, gets = Kind(), Kind()
    nr, telling = 0, None
    print("ready", flush=True)
    while True:
        step(check, store, nr, puts, gets)
        nr += 1
        if telling is not None and puts.good_at > telling and gets.good_at > telling:
            telling = None
            line = {
                "put_ms": puts.longest * 1000,
                "get_ms": gets.longest * 1000,
                "put_failed": puts.failed,
                "get_failed": gets.failed,
                "calls": puts.good + gets.good,
            }
            print(json.dumps(line), flush=True)
        match said():
            case None:
                continue
            case "mark\n":
                puts.mark()
                gets.mark()
                print("marked", flush=True)
            case "tell\n":
                telling = time.monotonic()
            case _:
                finish(check)


main()
