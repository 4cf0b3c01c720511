"""The released Mooncake client against a running master: `smoke.py HOST:PORT`.

Every value that is read is compared with the bytes that were written. The last
line of stdout is one JSON object; the exit code is 0 only when all is well.
"""

import os
import sys
import time

from harness import OBJECT_HAS_LEASE, OBJECT_NOT_FOUND, Check, client, finish
from mooncake.store import ReplicateConfig, TaskStatus

SEGMENT_BYTES = 64 << 20
CLIENT_TTL_S = 10
TASK_LIMIT_S = 30


def single(check, writer, reader):
    for size in (1, 255, 256, 70_000, 5 << 20):
        key, value = f"single-{size}", os.urandom(size)
        check.equal(f"exist {key}, before", reader.is_exist(key), 0)
        check.put(writer, key, value)
        check.equal(f"exist {key}", reader.is_exist(key), 1)
        check.equal(f"size of {key}", reader.get_size(key), size)
        check.bytes(f"get {key} from another client", reader.get(key), value)
        check.bytes(f"get {key}", writer.get(key), value)
        check.put(writer, key, b"another value")
        check.bytes(f"get {key}, put again", reader.get(key), value)
        check.equal(f"remove {key}, leased", writer.remove(key), OBJECT_HAS_LEASE)
        check.equal(f"remove {key} by force", writer.remove(key, True), 0)
        check.equal(f"exist {key}, removed", reader.is_exist(key), 0)
        check.bytes(f"get {key}, removed", reader.get(key), b"")


def pinned(check, writer, reader):
    config = ReplicateConfig()
    config.replica_num = 1
    config.with_hard_pin = True
    value = os.urandom(1000)
    check.put(writer, "pinned", value, config)
    check.bytes("get pinned", reader.get("pinned"), value)


def batches(check, writer, reader):
    keys = [f"batch-{i}" for i in range(128)]
    values = [os.urandom(100 + i) for i in range(128)]
    check.puts += len(keys)
    check.equal("put_batch", writer.put_batch(keys, values), 0)
    for key, value, got in zip(keys, values, reader.get_batch(keys)):
        check.bytes(f"get_batch {key}", got, value)
    many = [key for i in range(1000) for key in (keys[i % 128], f"nobody-{i}")]
    check.equal("batch_is_exist", reader.batch_is_exist(many), [1, 0] * 1000)
    check.equal("batch_remove", writer.batch_remove(keys[:2] + ["nobody"], True), [0, 0, -704])
    check.equal("batch_is_exist, removed", reader.batch_is_exist(keys[:3]), [0, 0, 1])


def replaced(check, writer, reader):
    for size in (300, 300, 301):
        value = os.urandom(size)
        check.puts += 1
        check.equal(f"upsert of {size} bytes", writer.upsert("replaced", value), 0)
        check.bytes(f"get of {size} upserted bytes", reader.get("replaced"), value)
    keys = [f"upserted-{i}" for i in range(16)]
    for round in range(2):
        values = [os.urandom(500) for _ in keys]
        check.puts += len(keys)
        check.equal("upsert_batch", writer.upsert_batch(keys, values), 0)
        for key, value, got in zip(keys, values, reader.get_batch(keys)):
            check.bytes(f"get_batch {key}, round {round}", got, value)


def removed_in_numbers(check, writer, reader):
    for key in ("number-1", "number-2", "word"):
        check.put(writer, key, b"value")
    check.equal("remove_by_regex", writer.remove_by_regex("^number-[0-9]$", True), 2)
    check.equal("what is left", reader.batch_is_exist(["number-1", "number-2", "word"]), [0, 0, 1])
    check.equal("remove_all removes some", writer.remove_all(True) > 0, True)
    check.equal("exist after remove_all", reader.is_exist("word"), 0)
    check.put(writer, "after", b"value")
    check.bytes("get after remove_all", reader.get("after"), b"value")


def moved_by_tasks(check, writer, reader):
    """The client that lends the source polls for the task, carries it out and says so."""
    other = client(check, sys.argv[1], SEGMENT_BYTES)
    value = os.urandom(70_000)
    here = writer.get_hostname()
    config = ReplicateConfig()
    config.preferred_segment = here
    check.put(writer, "copied", value, config)
    created = writer.create_copy_task("copied", [other.get_hostname()])
    ended(check, "copy", writer, created, TaskStatus.SUCCESS)
    check.equal("replicas after the copy", len(reader.get_replica_desc("copied")), 2)
    check.put(writer, "moved", value, config)
    created = writer.create_move_task("moved", here, other.get_hostname())
    ended(check, "move", writer, created, TaskStatus.SUCCESS)
    check.equal("replicas after the move", len(reader.get_replica_desc("moved")), 1)
    check.equal("task for nothing", writer.create_copy_task("nobody", [here])[1], OBJECT_NOT_FOUND)
    check.equal("remove copied", writer.remove("copied", True), 0)
    check.bytes("get moved", reader.get("moved"), value)
    check.equal("close of the other lender", other.close(), 0)


def ended(check, what, store, created, expected):
    task, code = created
    check.equal(f"{what} task", code, 0)
    until = time.monotonic() + TASK_LIMIT_S
    while time.monotonic() < until:
        state, code = store.query_task(task)
        check.equal(f"state of the {what}", code, 0)
        if code != 0 or state.status in (TaskStatus.SUCCESS, TaskStatus.FAILED):
            break
        time.sleep(0.1)
    check.equal(f"end of the {what}", state and state.status, expected)


def outlives_its_ttl(check, writer, reader):
    """A client that pings keeps what it lends; without pings it is forgotten after 10 s."""
    value = os.urandom(1000)
    check.put(writer, "kept", value)
    time.sleep(CLIENT_TTL_S + 2)
    check.bytes("get after the client's TTL", reader.get("kept"), value)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: smoke.py HOST:PORT")
    check = Check()
    writer = client(check, sys.argv[1], SEGMENT_BYTES)
    reader = client(check, sys.argv[1], 0)
    for part in (single, pinned, batches, replaced, moved_by_tasks, removed_in_numbers, outlives_its_ttl):
        part(check, writer, reader)
    check.equal("close of the reader", reader.close(), 0)
    check.equal("close of the writer", writer.close(), 0)
    finish(check)


if __name__ == "__main__":
    main()
