"""Connects so many times to ADDRESS PORT, says `ready`, and tells when the last connection was ended: since 1970."""

import select
import socket
import sys
import time

address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
poll, connections = select.poll(), {}
for _ in range(count):
    connection = socket.create_connection((address, port), timeout=2)
    poll.register(connection, select.POLLIN | select.POLLHUP)
    connections[connection.fileno()] = connection
print("ready", flush=True)
ended = None
while connections:
    for number, _ in poll.poll():
        ended = time.time()
        poll.unregister(number)
        connections.pop(number).close()
print(ended)
