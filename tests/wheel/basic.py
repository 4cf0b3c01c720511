"""What every release can: `basic.py HOST:PORT`. For the support table, and for a stock command line."""

import sys

from harness import Check, client, finish, value_of

SEGMENT_BYTES = 64 << 20


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: basic.py HOST:PORT")
    check = Check()
    writer = client(check, sys.argv[1], SEGMENT_BYTES)
    if check.failed:
        finish(check)
    reader = client(check, sys.argv[1], 0)
    for size in (1, 300, 70_000, 5 << 20):
        key = f"basic-{size}"
        check.equal(f"exist {key}, before", reader.is_exist(key), 0)
        check.put(writer, key, value_of(key, size))
        check.bytes(f"get {key}", reader.get(key), value_of(key, size))
    keys = [f"list-{i}" for i in range(100)]
    check.puts += len(keys)
    check.equal("put_batch", writer.put_batch(keys, [value_of(key, 500) for key in keys]), 0)
    for key, got in zip(keys, reader.get_batch(keys)):
        check.bytes(f"get_batch {key}", got, value_of(key, 500))
    check.equal("batch_is_exist", reader.batch_is_exist(keys[:2] + ["nobody"]), [1, 1, 0])
    check.equal("remove_all", writer.remove_all() >= 0, True)
    check.equal("close of the reader", reader.close(), 0)
    check.equal("close of the writer", writer.close(), 0)
    finish(check)


main()
