"""Stands in front of some addresses as a load balancer would: `forwarder.py HOST:PORT...`.

It says where it listens, and ends with stdin. In a process of its own: the engine holds Python's lock while it asks.
"""

import socket
import sys
import threading
import urllib.error
import urllib.request

TARGETS = [(host, int(port)) for host, port in (address.rsplit(":", 1) for address in sys.argv[1:])]


def serves(target):
    """A standby answers 503, the primary that there is no such key."""
    try:
        urllib.request.urlopen("http://%s:%d/metadata?key=probe" % target, timeout=5)
    except urllib.error.HTTPError as answer:
        return answer.code == 404
    except OSError:
        return False
    return True


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def forward(inward):
    target = next((target for target in TARGETS if serves(target)), None)
    if target is None:
        return inward.close()
    outward = socket.create_connection(target)
    threading.Thread(target=pump, args=(inward, outward), daemon=True).start()
    pump(outward, inward)


def accept(listener):
    while True:
        inward, _ = listener.accept()
        threading.Thread(target=forward, args=(inward,), daemon=True).start()


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    print("127.0.0.1:%d" % listener.getsockname()[1], flush=True)
    threading.Thread(target=accept, args=(listener,), daemon=True).start()
    sys.stdin.read()


main()
