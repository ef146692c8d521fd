"""Accepts connections on PORT, says `ready`, and tells after SECONDS when they came, by the address they came to."""

import json
import socket
import sys
import time

port, seconds = int(sys.argv[1]), float(sys.argv[2])
listener = socket.create_server(("", port), backlog=4096)
print("ready", flush=True)
came, end = {}, time.monotonic() + seconds
while (left := end - time.monotonic()) > 0:
    listener.settimeout(left)
    try:
        connection, _ = listener.accept()
    except TimeoutError:
        break
    came.setdefault(connection.getsockname()[0], []).append(time.monotonic())
    connection.close()
print(json.dumps(came))
