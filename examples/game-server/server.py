"""A server to try the pair with: greets each player with its name, and says back what it is told.

    python3 server.py NAME

Needs the package python3-websockets.
"""

import asyncio
import sys

import websockets


async def play(player):
    try:
        await player.send(sys.argv[1])
        async for move in player:
            await player.send(f"{sys.argv[1]}: {move}")
    except websockets.ConnectionClosed:
        pass


async def main():
    # On every address, so that it is there before the virtual one comes.
    async with websockets.serve(play, "", 8765):
        await asyncio.Future()


asyncio.run(main())
