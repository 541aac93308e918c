"""websockets_client.py URL: python websockets as the client of an echo server that speaks the sub-protocols superchat and chat.

One line a case, "ok - NAME" or "not ok - NAME: WHY". Exits with 1 if one failed.
"""

import os
import sys
import threading

from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20]
CLOSES = [(1000, ""), (1000, "Done"), (1001, "leaving"), (3000, "äöü"), (4999, "x" * 123)]
SECONDS = 20

url = sys.argv[1]
compression = "deflate" if os.environ.get("INTEROP_COMPRESSED") else None
failures = 0


def open_websocket(**options):
    """Over TLS one attempt of some hundreds gets no answer from any server, websockets' own included: its client reads on one thread while it sends
    on another, and CPython 3.11's SSL objects are not made for that. A server that does not answer does not answer three times."""
    for attempt in range(3):
        try:
            return connect(url, compression=compression, max_size=None, proxy=None, open_timeout=5, **options)
        except TimeoutError:
            if not url.startswith("wss:") or attempt == 2:
                raise


def dial(**options):
    websocket = open_websocket(**options)
    expect(compression is not None, len(websocket.protocol.extensions) == 1)
    return websocket


def text_of(size):
    """Two bytes a character where they fit, so that lengths in bytes and in characters differ."""
    return "ä" * (size // 2) + "a" * (size % 2)


def expect(expected, actual):
    if expected != actual:
        raise AssertionError(f"got {actual!r:.80}, expected {expected!r:.80}")


def case(name):
    """Runs the function right away, as the case of that name."""

    def run(function):
        global failures
        try:
            function()
            print(f"ok - {name}", flush=True)
        except Exception as error:  # whatever it is, the next case can still run
            failures += 1
            print(f"not ok - {name}: {type(error).__name__} {error}", flush=True)

    return run


for size in SIZES:

    @case(f"text of {size} bytes")
    def _(size=size):
        with dial() as websocket:
            websocket.send(text_of(size))
            expect(text_of(size), websocket.recv(SECONDS))

    @case(f"binary of {size} bytes")
    def _(size=size):
        payload = bytes(i * 31 % 256 for i in range(size))
        with dial() as websocket:
            websocket.send(payload)
            expect(payload, websocket.recv(SECONDS))


@case("a fragmented text")
def _():
    with dial() as websocket:
        websocket.send(["frag", "", "mented ", "ä" * 70000])
        expect("fragmented " + "ä" * 70000, websocket.recv(SECONDS))


@case("a fragmented binary")
def _():
    with dial() as websocket:
        websocket.send([b"a" * 126, b"", b"b" * 65536, b""])
        expect(b"a" * 126 + b"b" * 65536, websocket.recv(SECONDS))


for payload in [b"", b"ping", bytes(range(125))]:

    @case(f"a ping of {len(payload)} bytes")
    def _(payload=payload):
        with dial() as websocket:
            if not websocket.ping(payload).wait(SECONDS):
                raise AssertionError("no pong")
            websocket.send("after it")
            expect("after it", websocket.recv(SECONDS))


@case("200 messages under way at once")
def _():
    with dial() as websocket:
        sender = threading.Thread(target=lambda: [websocket.send(f"{i} " + "x" * (i * 37 % 3000)) for i in range(200)])
        sender.start()
        for i in range(200):
            expect(f"{i} " + "x" * (i * 37 % 3000), websocket.recv(SECONDS))
        sender.join()


for code, reason in CLOSES:

    @case(f"close {code}, {len(reason)} characters")
    def _(code=code, reason=reason):
        with dial() as websocket:
            websocket.close(code, reason)
            # 1006 if no close frame came back.
            expect(code, websocket.protocol.close_rcvd and websocket.protocol.close_rcvd.code)


@case("a sub-protocol of both")
def _():
    with dial(subprotocols=["chat", "superchat"]) as websocket:
        # The server's first of those that were offered.
        expect("superchat", websocket.subprotocol)


@case("a sub-protocol of neither")
def _():
    with dial(subprotocols=["other"]) as websocket:
        expect(None, websocket.subprotocol)


@case("a foreign origin is refused")
def _():
    try:
        dial(origin="http://example.com").close()
    except InvalidStatus as error:
        expect(403, error.response.status_code)
        return
    raise AssertionError("it was let in")


sys.exit(1 if failures else 0)
