"""Runs localstripe, an independent stand-in for Stripe's API, on a free port of loopback; prints the port.

Its own program listens on every address and keeps its state in a file that all of its processes share; this one does
neither. It ends when its standard input does.
"""

import os
import socket
import sys
import threading

from aiohttp import web
from localstripe import resources
from localstripe.server import app

resources.Store.dump_to_disk = lambda self: None

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(128)
print(listener.getsockname()[1], flush=True)


def end_with_parent():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_parent, daemon=True).start()
web.run_app(app, sock=listener, print=None)
