"""The released Mooncake client beside the demo: `mooncake.py etcd://HOST:PORT`.

It puts and reads until stdin says `end`, then reads everything back. It says `ready` once it works.
"""

import importlib.metadata
import json
import os
import random
import socket
import sys
import threading
import time

from mooncake.store import MooncakeDistributedStore

WHEEL = "mooncake-transfer-engine-non-cuda"
KEYS_MAX = 2000
READ_BACK_S = 20


def client(segment_bytes):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        name = "127.0.0.1:%d" % probe.getsockname()[1]
    store = MooncakeDistributedStore()
    done = store.setup(name, "P2PHANDSHAKE", segment_bytes, 16 << 20, "tcp", "", sys.argv[1])
    if done != 0:
        sys.exit(f"setup: {done}")
    return store


def value_of(key):
    chance = random.Random(key)
    return chance.randbytes(chance.randrange(1, 20_000))


def main():
    counts = {"wheel": importlib.metadata.version(WHEEL), "puts": 0, "gets": 0, "wrong": 0, "missing": 0, "after": 0}
    killed, ending = threading.Event(), threading.Event()

    def listen():
        for line in sys.stdin:
            (killed if line.strip() == "killed" else ending).set()
        ending.set()

    threading.Thread(target=listen, daemon=True).start()
    store = client(64 << 20)
    acked = []

    def read(key):
        got = bytes(store.get(key))
        if got:
            counts["gets"] += 1
            counts["wrong"] += got != value_of(key)
        return bool(got)

    while not ending.is_set():
        after = killed.is_set()
        key = f"wheel-{counts['puts']}-{time.monotonic_ns()}"
        if len(acked) < KEYS_MAX and store.put(key, value_of(key)) == 0:
            acked.append(key)
            counts["puts"] += 1
            counts["after"] += after
            if counts["puts"] == 20:
                print("ready", flush=True)
        if acked:
            read(random.choice(acked))
        time.sleep(0.005)
    end = time.monotonic() + READ_BACK_S
    for key in acked:
        while not read(key):
            if time.monotonic() >= end:
                counts["missing"] += 1
                break
            time.sleep(0.05)
    print(json.dumps(counts), flush=True)
    # The engine's threads may outlive the interpreter's shutdown.
    os._exit(0)


main()
