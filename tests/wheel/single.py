"""What a caller of the wheel waits for one put and one get: `single.py HOST:PORT COUNT`. Prints medians of this run."""

import json
import os
import statistics
import sys
import time

from harness import Check, client, value_of

SEGMENT_BYTES = 256 << 20
VALUE_BYTES = 4096


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: single.py HOST:PORT COUNT")
    check = Check()
    writer, reader = client(check, sys.argv[1], SEGMENT_BYTES), client(check, sys.argv[1], 0)
    keys = [f"single-{os.getpid()}-{i}" for i in range(int(sys.argv[2]))]
    puts, gets = [], []
    for key in keys:
        value = value_of(key, VALUE_BYTES)
        begun = time.perf_counter()
        done = writer.put(key, value)
        puts.append(time.perf_counter() - begun)
        check.equal(f"put {key}", done, 0)
        begun = time.perf_counter()
        got = reader.get(key)
        gets.append(time.perf_counter() - begun)
        check.bytes(f"get {key}", got, value)
    median = lambda times: statistics.median(times) * 1e6
    line = {"wrong": len(check.failed), "reasons": check.failed[:3], "put_us": median(puts), "get_us": median(gets)}
    print(json.dumps(line), flush=True)
    os._exit(1 if check.failed else 0)


main()
