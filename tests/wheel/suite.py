"""All that the released Mooncake client does, against a running master: `suite.py HOST:PORT [PART...]`.

The master must have been started with --client_ttl=5 --default_kv_lease_ttl=1s --put_start_discard_timeout_sec=1
--put_start_release_timeout_sec=3, so that what has to run out does so soon. Every value that is read is compared with the
bytes that belong to its key.
"""

import concurrent.futures
import ctypes
import os
import signal
import subprocess
import sys
import time

import smoke
from harness import (
    NO_AVAILABLE_HANDLE,
    OBJECT_NOT_FOUND,
    Check,
    client,
    finish,
    free_name,
    until,
    value_of,
)
from mooncake.store import ReplicateConfig, SoftPinAction

MASTER = sys.argv[1] if len(sys.argv) > 1 else sys.exit("usage: suite.py HOST:PORT [PART...]")
WANTED = sys.argv[2:]
SEGMENT_BYTES = 64 << 20
HERE = os.path.dirname(os.path.abspath(__file__))


class Lender:
    """A client in another process."""

    def __init__(self, check, segment_bytes=SEGMENT_BYTES, name=None):
        self.check, self.name = check, name or free_name()
        script = os.path.join(HERE, "lender.py")
        command = [sys.executable, script, MASTER, self.name, str(segment_bytes)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        said, self.segment = self.line("ready").split()
        check.equal(f"lender {self.name}", said, "ready")

    def line(self, prefix=""):
        """The next line that it says; the engine may say lines of its own before."""
        for line in self.process.stdout:
            if line.startswith(prefix) and (prefix or line.strip().lstrip("-").isdigit()):
                return line.strip()
        return "gone gone"

    def ask(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return int(self.line())

    def put(self, key, size):
        self.check.puts += 1
        self.check.equal(f"put {key} by {self.name}", self.ask(f"put {key} {size}"), 0)

    def put_at_last(self, key, size):
        """As long as the master takes a dead process of this name for alive, a put may be sent to its memory."""
        self.check.puts += 1
        done = until(f"put {key}", lambda: self.ask(f"put {key} {size}") == 0)
        self.check.equal(f"put {key} by {self.name}, in the end", done, True)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self):
        """Takes leave of the master, then ends."""
        self.check.equal(f"close of {self.name}", self.ask("close"), 0)
        self.process.stdin.close()
        self.process.wait()


def config(**settings):
    made = ReplicateConfig()
    for name, value in settings.items():
        setattr(made, name, value)
    return made


def put(check, store, key, size, *how):
    check.put(store, key, value_of(key, size), *how)


def read(check, store, key, size, what="get"):
    check.bytes(f"{what} {key}", store.get(key), value_of(key, size))


def endpoints_of(store, key):
    """Where its replicas are."""
    descriptors = [replica.get_memory_descriptor() for replica in store.get_replica_desc(key)]
    return {descriptor.buffer_descriptor.transport_endpoint for descriptor in descriptors}


def batches(check, writer, reader):
    sizes = [1 + i * i % 5000 for i in range(500)]
    keys = [f"many-{i}" for i in range(500)]
    check.puts += len(keys)
    values = [value_of(key, size) for key, size in zip(keys, sizes)]
    check.equal("put_batch of 500", writer.put_batch(keys, values), 0)
    check.equal("put_batch again", writer.put_batch(keys, [b"others"] * 500), 0)
    for key, value, got in zip(keys, values, reader.get_batch(keys)):
        check.bytes(f"get_batch {key}", got, value)
    check.equal("batch_is_exist", reader.batch_is_exist(keys + ["nobody"]), [1] * 500 + [0])


def at_the_same_time(check, writer, reader):
    """Two clients, eight threads: what one has put the other reads."""

    def work(thread):
        put_by, read_by = (writer, reader) if thread % 2 == 0 else (reader, writer)
        got = []
        for i in range(40):
            key, size = f"thread-{thread}-{i}", 100 + 977 * i
            done = put_by.put(key, value_of(key, size))
            got.append((key, size, done, bytes(read_by.get(key))))
        return got

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for results in pool.map(work, range(8)):
            for key, size, done, got in results:
                check.puts += 1
                check.equal(f"put {key}", done, 0)
                check.bytes(f"get {key}", got, value_of(key, size))


def parts_and_ranges(check, writer, reader):
    """Values out of pieces, and pieces out of values."""
    whole = value_of("parts", 9000)
    check.puts += 1
    check.equal("put_parts", writer.put_parts("parts", whole[:1], whole[1:5000], whole[5000:]), 0)
    read(check, reader, "parts", 9000)
    other = value_of("parts, new", 7000)
    check.equal("upsert_parts", writer.upsert_parts("parts", other[:6999], other[6999:]), 0)
    check.bytes("get upserted parts", reader.get("parts"), other)

    size = 3 << 20
    memory = ctypes.create_string_buffer(size)
    address = ctypes.addressof(memory)
    for store in (writer, reader):
        check.equal("register_buffer", store.register_buffer(address, size), 0)
    value = value_of("from memory", 1 << 20)
    ctypes.memmove(address, value, len(value))
    check.puts += 1
    check.equal("put_from", writer.put_from("from memory", address, len(value)), 0)
    check.equal("get_into", reader.get_into("from memory", address + (1 << 20), 1 << 20), len(value))
    check.bytes("get_into", memory.raw[1 << 20 : 2 << 20], value)
    keys = ["from-a", "from-b"]
    check.puts += 2
    pieces = [address + (1 << 20), address + (1 << 20) + 1000]
    check.equal("batch_put_from", writer.batch_put_from(keys, pieces, [1000, 2000]), [0, 0])
    into = [address + (2 << 20), address + (2 << 20) + 5000]
    check.equal("batch_get_into", reader.batch_get_into(keys, into, [1000, 2000]), [1000, 2000])
    check.bytes("batch_get_into a", memory.raw[2 << 20 :][:1000], value[:1000])
    check.bytes("batch_get_into b", memory.raw[(2 << 20) + 5000 :][:2000], value[1000:3000])
    ranges = reader.get_into_ranges(
        [address + (2 << 20)], [["from memory", "from-b"]], [[[0, 100], [300]]], [[[7, 70_000], [5]]], [[[100, 200], [50]]]
    )
    check.equal("get_into_ranges", ranges, [[[100, 200], [50]]])
    expected = value[7:107] + value[70_000:70_200] + value[1005:1055]
    check.bytes("get_into_ranges", memory.raw[2 << 20 :][:350], expected)
    for store in (writer, reader):
        check.equal("unregister_buffer", store.unregister_buffer(address), 0)


def replicas_outlive_a_lender(check, writer, reader):
    other = Lender(check)
    put(check, writer, "twice", 50_000, config(replica_num=2))
    check.equal("replicas of twice", len(endpoints_of(reader, "twice")), 2)
    put(check, writer, "best effort", 50_000, config(replica_num=9))
    check.equal("replicas of best effort", len(endpoints_of(reader, "best effort")), 2)
    other.kill()
    alive = until("one replica is left", lambda: len(endpoints_of(reader, "twice")) == 1)
    check.equal("the dead lender's replica goes", alive, True)
    read(check, reader, "twice", 50_000, "get, after one of two lenders died,")
    check.equal("remove twice", writer.remove("twice", True), 0)
    check.equal("remove best effort", writer.remove("best effort", True), 0)


def death_and_return(check, writer, reader):
    """A lender that is silent loses its objects; back again, it lends anew."""
    other = Lender(check)
    other.put("of-the-dead", 10_000)
    read(check, reader, "of-the-dead", 10_000)
    there = endpoints_of(reader, "of-the-dead")
    other.process.send_signal(signal.SIGSTOP)
    gone = until("its object is gone", lambda: reader.is_exist("of-the-dead") == 0)
    check.equal("the object of a silent lender", gone, True)
    check.bytes("get of the dead", reader.get("of-the-dead"), b"")
    other.process.send_signal(signal.SIGCONT)
    how = config(preferred_segment=other.segment)
    tries = iter(range(10_000))

    def lands_there():
        key = f"returned-{next(tries)}"
        put(check, writer, key, 2000, how)
        read(check, reader, key, 2000)
        return endpoints_of(reader, key) == there

    check.equal("it lends again", until("a put lands there", lands_there), True)
    check.bytes("get of the dead, after its return", reader.get("of-the-dead"), b"")
    other.end()


def restart_under_its_name(check, writer, reader):
    """A process that died, and another at once under the same name."""
    first = Lender(check)
    first.put("of-the-first", 10_000)
    first.kill()
    second = Lender(check, name=first.name)
    second.put_at_last("of-the-second", 20_000)
    read(check, reader, "of-the-second", 20_000)
    got = bytes(reader.get("of-the-first"))
    if got:
        check.bytes("get of the first", got, value_of("of-the-first", 10_000))
    gone = until("the first's object is gone", lambda: reader.is_exist("of-the-first") == 0)
    check.equal("the object of the first", gone, True)
    read(check, reader, "of-the-second", 20_000, "get, after the first expired,")
    second.end()


def unmount_of_a_big_segment(check, writer, reader):
    """Taking a segment back takes its objects with it, quickly, and leaves those of others."""
    other = Lender(check, 256 << 20)
    keys = [f"big-{i}" for i in range(2000)]
    how = config(preferred_segment=other.segment)
    for first in range(0, 2000, 250):
        some = keys[first : first + 250]
        check.puts += len(some)
        check.equal("put_batch", writer.put_batch(some, [value_of(key, 8000) for key in some], how), 0)
    put(check, writer, "stays", 1000, config(preferred_segment=writer.get_hostname()))
    sample = keys[::100]
    for key, got in zip(sample, reader.get_batch(sample)):
        check.bytes(f"get {key}", got, value_of(key, 8000))
    begun = time.monotonic()
    other.end()
    check.equal("all gone with it", sum(reader.batch_is_exist(keys)), 0)
    check.equal("in time", time.monotonic() - begun < 30, True)
    check.equal("get big-0", reader.get("big-0"), b"")
    read(check, reader, "stays", 1000)


def pressure(check, writer, reader):
    """More than fits: what is pinned stays, what is there is right, and puts go on."""
    check.equal("remove_all", writer.remove_all(True) >= 0, True)
    size = 1 << 20
    hard, soft = config(with_hard_pin=True), config(soft_pin_action=SoftPinAction.ENABLE)
    for i in range(4):
        put(check, writer, f"hard-{i}", size, hard)
    put(check, writer, "soft", size, soft)
    keys = [f"pressure-{i}" for i in range(200)]
    for key in keys:
        value = value_of(key, size)
        check.puts += 1
        done = until(f"room for {key}", lambda: writer.put(key, value) != NO_AVAILABLE_HANDLE)
        check.equal(f"put {key} under pressure", done, True)
    there = [key for key, exists in zip(keys, reader.batch_is_exist(keys)) if exists]
    check.equal("some were evicted", 0 < len(there) < len(keys), True)
    for key in there:
        got = bytes(reader.get(key))
        # What was evicted between the question and the read is no error.
        if got:
            check.bytes(f"get {key}", got, value_of(key, size))
    for i in range(4):
        read(check, reader, f"hard-{i}", size, "get pinned")
    check.equal("remove_all at the end", writer.remove_all(True) > 0, True)
    check.equal("nothing is left", sum(reader.batch_is_exist(keys)), 0)


def numbers(check, writer, reader):
    for group in ("red", "green"):
        for i in range(20):
            put(check, writer, f"{group}-{i}", 500)
    check.equal("remove_by_regex", writer.remove_by_regex("^red-1[0-9]$", True), 10)
    left = [f"red-{i}" for i in range(10)] + [f"green-{i}" for i in range(20)]
    for key, got in zip(left, reader.get_batch(left)):
        check.bytes(f"get {key}", got, value_of(key, 500))
    check.equal("leased ones stay", writer.remove_by_regex("^green-"), 0)
    check.equal("of none", writer.remove_by_regex("^blue", True), 0)
    check.equal("remove of nobody", writer.remove("nobody"), OBJECT_NOT_FOUND)


PARTS = [
    smoke.single,
    smoke.pinned,
    smoke.batches,
    smoke.replaced,
    smoke.removed_in_numbers,
    smoke.moved_by_tasks,
    batches,
    at_the_same_time,
    parts_and_ranges,
    numbers,
    replicas_outlive_a_lender,
    death_and_return,
    restart_under_its_name,
    unmount_of_a_big_segment,
    pressure,
]


def main():
    check = Check()
    writer = client(check, MASTER, SEGMENT_BYTES)
    reader = client(check, MASTER, 0)
    for part in [part for part in PARTS if not WANTED or part.__name__ in WANTED]:
        begun, failed = time.monotonic(), len(check.failed)
        part(check, writer, reader)
        word = "ok" if len(check.failed) == failed else "FAILED"
        print(f"{part.__name__} {word} {time.monotonic() - begun:.1f} s", flush=True)
    check.equal("close of the reader", reader.close(), 0)
    check.equal("close of the writer", writer.close(), 0)
    finish(check)


main()
