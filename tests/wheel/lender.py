"""A client in a process of its own, so that it can die: `lender.py HOST:PORT NAME SEGMENT_BYTES`.

It says `ready` and the name that its memory goes by, then obeys lines of stdin: `put KEY SIZE`, `close`. It ends with
stdin, without a word to the master, as a process that was killed does.
"""

import os
import sys

from harness import BUFFER_BYTES, value_of
from mooncake.store import MooncakeDistributedStore, ReplicateConfig


def main():
    master, name, segment_bytes = sys.argv[1], sys.argv[2], int(sys.argv[3])
    store = MooncakeDistributedStore()
    done = store.setup(name, "P2PHANDSHAKE", segment_bytes, BUFFER_BYTES, "tcp", "", master)
    print("ready" if done == 0 else f"setup: {done}", store.get_hostname(), flush=True)
    for line in sys.stdin:
        match line.split():
            case ["put", key, size]:
                config = ReplicateConfig()
                config.preferred_segment = store.get_hostname()
                print(store.put(key, value_of(key, int(size)), config), flush=True)
            case ["close"]:
                print(store.close(), flush=True)
    os._exit(0)


main()
