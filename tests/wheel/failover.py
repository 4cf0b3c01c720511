"""The primary dies under two clients: `failover.py etcd://HOST:PORT METADATA,METADATA`.

The clients find the master through etcd, and each other through the transfer metadata server, in front of whose two
addresses stands a forwarder, as a load balancer would. It says `kill` when the primary is to be killed and waits for a
line; every value that was put before must be there afterwards, with its bytes, and the cluster goes on.
"""

import sys

from harness import Check, client, finish, forwarded, until, value_of

SEGMENT_BYTES = 64 << 20
SIZES = (1, 300, 70_000, 1 << 20)


def put_all(check, store, keys):
    for i, key in enumerate(keys):
        check.put(store, key, value_of(key, SIZES[i % len(SIZES)]))


def read_all(check, store, keys, what):
    for i, key in enumerate(keys):
        size = SIZES[i % len(SIZES)]
        check.bytes(f"get {key} {what}", store.get(key), value_of(key, size))


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: failover.py etcd://HOST:PORT METADATA,METADATA")
    check = Check()
    metadata, _forwarder = forwarded(sys.argv[2].split(","))
    writer = client(check, sys.argv[1], SEGMENT_BYTES, metadata)
    reader = client(check, sys.argv[1], 0, metadata)
    if check.failed:
        finish(check)
    before = [f"before-{i}" for i in range(40)]
    put_all(check, writer, before)
    read_all(check, reader, before, "before")
    check.equal("remove", writer.remove("before-0", True), 0)
    before = before[4:]

    print("kill", flush=True)
    check.equal("the driver", sys.stdin.readline().strip(), "killed")
    first = before[0]
    back = until("the first good read", lambda: bytes(reader.get(first)) == value_of(first, SIZES[0]))
    check.equal("a read after the failover", back, True)
    read_all(check, reader, before, "after")
    check.equal("what was removed stays so", reader.is_exist("before-0"), 0)
    key = "during"
    goes_on = until("the first good put", lambda: writer.put(key, value_of(key, 500)) == 0)
    check.equal("a put after the failover", goes_on, True)
    check.bytes(f"get {key}", reader.get(key), value_of(key, 500))
    after = [f"after-{i}" for i in range(40)]
    put_all(check, writer, after)
    # Who comes now learns where the writer's memory is from what was told to the node that died.
    late = client(check, sys.argv[1], 0, metadata)
    for store, what in ((reader, "after"), (late, "by a new client")):
        read_all(check, store, before + after, what)
    check.equal("remove_all", writer.remove_all(True) >= 0, True)
    check.equal("nothing is left", sum(reader.batch_is_exist(before + after)), 0)
    # Not closed: a client that watches etcd takes half a minute to close, with a stock master as well.
    finish(check)


main()
