"""Accepts connections on PORT; after so many seconds says `ready`, and after SECONDS more tells when they came since then,
by the address they came to."""

import json
import socket
import sys
import time

port, settled, seconds = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
listener = socket.create_server(("", port), backlog=4096)


def accept(end):
    came = {}
    while (left := end - time.monotonic()) > 0:
        listener.settimeout(left)
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            break
        came.setdefault(connection.getsockname()[0], []).append(time.monotonic())
        connection.close()
    return came


begins = time.monotonic() + settled
accept(begins)
print("ready", flush=True)
print(json.dumps(accept(begins + seconds)))
