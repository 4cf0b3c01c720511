"""What the tests of the released Mooncake client share: counting, clients, and the closing line."""

import importlib.metadata
import json
import os
import random
import socket
import subprocess
import sys
import time

from mooncake.store import MooncakeDistributedStore

WHEEL = "mooncake-transfer-engine-non-cuda"
BUFFER_BYTES = 16 << 20
OBJECT_HAS_LEASE = -706
OBJECT_NOT_FOUND = -704
NO_AVAILABLE_HANDLE = -200
# Generous: a limit for a loaded machine, not a figure.
PATIENCE_S = 60
REASONS_MAX = 20


class Check:
    """Counts what was done, and keeps what was not as it should be."""

    def __init__(self):
        self.puts = 0
        self.gets = 0
        self.wrong = 0
        self.failed = []

    def equal(self, what, got, expected):
        if got != expected:
            self.failed.append(f"{what}: got {got!r:.80}, expected {expected!r:.80}")

    def put(self, store, key, value, *config):
        self.puts += 1
        self.equal(f"put {key}", store.put(key, value, *config), 0)

    def bytes(self, what, got, expected):
        self.gets += 1
        if bytes(got) != expected:
            self.wrong += 1
            self.failed.append(f"{what}: {len(got)} bytes that are not the {len(expected)} written")


def free_name():
    """A name for a client: the engine chooses its own port, the name must only be unique."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "127.0.0.1:%d" % probe.getsockname()[1]


def client(check, master, segment_bytes, metadata="P2PHANDSHAKE"):
    store = MooncakeDistributedStore()
    done = store.setup(free_name(), metadata, segment_bytes, BUFFER_BYTES, "tcp", "", master)
    check.equal("setup", done, 0)
    return store


def forwarded(addresses):
    """A URL behind which is whichever of them serves, and the process that forwards there."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "forwarder.py")
    process = subprocess.Popen(
        [sys.executable, script, *addresses], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    return f"http://{process.stdout.readline().strip()}/metadata", process


def value_of(key, size):
    """The bytes that belong to a key: whoever reads it can tell."""
    return random.Random(f"{key}/{size}").randbytes(size)


def until(what, wanted, patience_s=PATIENCE_S):
    """Asks again and again; whether it came true in time."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if wanted():
            return True
        time.sleep(0.05)
    print(f"never: {what}", flush=True)
    return False


def finish(check):
    """Prints the closing line and ends the process."""
    line = {
        "schema": 1,
        "verdict": "bad" if check.failed else "ok",
        "reasons": check.failed[:REASONS_MAX],
        "wheel": importlib.metadata.version(WHEEL),
        "puts": check.puts,
        "gets": check.gets,
        "wrong": check.wrong,
    }
    print(json.dumps(line), flush=True)
    # The engine's threads may outlive the interpreter's shutdown.
    os._exit(1 if check.failed else 0)
