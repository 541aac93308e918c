"""websockets_server.py PROBE_CLIENT: python websockets as the server of probe_client, whose printed events are compared.

With JUDGE_CERTIFICATE and JUDGE_KEY (PEM files) in the environment, over TLS.
One line a case, "ok - NAME" or "not ok - NAME: WHY". Exits with 1 if one failed.
"""

import hashlib
import http
import os
import ssl
import subprocess
import sys
import threading

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20]
CLOSES = [(1000, ""), (1001, "leaving"), (3000, "äöü"), (4999, "x" * 123)]
SECONDS = 20

failures = 0
conversation = None  # what the server does with the next connection
trouble = []  # what went wrong in it
over = threading.Event()  # it has ended on this side too


def expect(expected, actual):
    if expected != actual:
        raise AssertionError(f"got {actual!r:.80}, expected {expected!r:.80}")


def handle(websocket):
    # Of this case: a late end must not spoil the next one.
    mine, mine_is_over = trouble, over
    try:
        conversation(websocket)
    except Exception as error:
        mine.append(f"{type(error).__name__} {error}")
    mine_is_over.set()


def refuse(connection, request):
    if request.path == "/refused":
        return connection.respond(http.HTTPStatus.FORBIDDEN, "not you\n")
    return None


def security():
    """TLS, if the environment names a certificate."""
    if "JUDGE_CERTIFICATE" not in os.environ:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["JUDGE_CERTIFICATE"], os.environ["JUDGE_KEY"])
    return context


secure = security()
server = serve(
    handle, "127.0.0.1", 0, compression=None, max_size=None, subprotocols=["superchat"], process_request=refuse, ssl=secure,
    select_subprotocol=lambda connection, offered: "superchat" if "superchat" in offered else None,
)
port = server.socket.getsockname()[1]
threading.Thread(target=server.serve_forever, daemon=True).start()


def probe(path="/", **environment):
    command = [sys.argv[1], f"{'wss' if secure else 'ws'}://127.0.0.1:{port}{path}"]
    run = subprocess.run(command, env={**os.environ, "PROBE_TIMEOUT": "10", **environment}, capture_output=True, timeout=60)
    return run.stdout.decode().splitlines()


def case(name, lines, does, path="/", **environment):
    """The conversation `does`, after which the probe must have printed these lines. A line ending in " …" is only the start of one."""
    global conversation, failures, over, trouble
    conversation, trouble, over = does, [], threading.Event()
    try:
        printed = probe(path, **environment)
        expect(len(lines), len(printed))
        for expected, actual in zip(lines, printed):
            expect(expected.removesuffix(" …"), actual[: len(expected) - 2] if expected.endswith(" …") else actual)
        if does is not None and not over.wait(SECONDS):
            raise AssertionError("the conversation did not end on this side")
        if trouble:
            raise AssertionError(trouble[0])
        print(f"ok - {name}", flush=True)
    except Exception as error:
        failures += 1
        print(f"not ok - {name}: {type(error).__name__} {error}", flush=True)


OPEN = "OPEN protocol=- extensions=-"
CLOSED = "CLOSED 1000 1"


def message(payload):
    kind, data = ("text", payload.encode()) if isinstance(payload, str) else ("binary", payload)
    return f"MSG {kind} {len(data)} {hashlib.sha1(data).hexdigest()}"


def echoed(payload, fragments=None):
    def does(websocket):
        websocket.send(fragments if fragments is not None else payload)
        expect(payload, websocket.recv(SECONDS))
        websocket.close()

    return does


for size in SIZES:
    for payload in ["ä" * (size // 2) + "a" * (size % 2), bytes(i * 31 % 256 for i in range(size))]:
        kind = "text" if isinstance(payload, str) else "binary"
        case(f"{kind} of {size} bytes", [OPEN, message(payload), CLOSED], echoed(payload))

whole = "fragmented " + "ä" * 70000
case("a fragmented text", [OPEN, message(whole), CLOSED], echoed(whole, ["frag", "", "mented ", "ä" * 70000]))
whole = b"a" * 126 + b"b" * 65536
case("a fragmented binary", [OPEN, message(whole), CLOSED], echoed(whole, [b"a" * 126, b"", b"b" * 65536, b""]))


def pinged(payload):
    def does(websocket):
        if not websocket.ping(payload).wait(SECONDS):
            raise AssertionError("no pong")
        websocket.close()

    return does


for payload in [b"", b"ping", bytes(range(125))]:
    case(f"a ping of {len(payload)} bytes", [OPEN, CLOSED], pinged(payload))


def closed_by_us(code, reason):
    def does(websocket):
        websocket.close(code, reason)
        expect(code, websocket.protocol.close_rcvd and websocket.protocol.close_rcvd.code)

    return does


for code, reason in CLOSES:
    case(f"their close {code}", [OPEN, f"CLOSED {code} 1 {reason}".rstrip()], closed_by_us(code, reason))


def closed_by_them(code, reason):
    def does(websocket):
        websocket.send(f"close {code} {reason}".rstrip())
        try:
            while True:
                websocket.recv(SECONDS)
        except ConnectionClosed:
            pass
        received = websocket.protocol.close_rcvd
        expect((code, reason), (received.code, received.reason))

    return does


for code, reason in CLOSES:
    order = f"close {code} {reason}".rstrip()
    case(f"our close {code}", [OPEN, message(order), f"CLOSED {code} 1 …"], closed_by_them(code, reason))


def dropped(websocket):
    websocket.socket.shutdown(2)


case("an end without a close frame", [OPEN, "CLOSED 1006 0"], dropped)
case("a sub-protocol of both", ["OPEN protocol=superchat extensions=-", CLOSED], lambda websocket: websocket.close(), PROBE_PROTOCOL="chat,superchat")
case("a refused upgrade", ["FAIL http-403 …"], None, path="/refused")
server.shutdown()
sys.exit(1 if failures else 0)
