"""curl_client.py URL CA: libcurl, by pycurl, as the client of an echo server over wss.

One line a case, "ok - NAME" or "not ok - NAME: WHY". Exits with 1 if one failed, with 77 if this libcurl has no WebSocket.
"""

import sys
import time

import pycurl

SIZES = [1, 125, 126, 16384, 65535, 65536, 1 << 20]
SECONDS = 20

url, ca = sys.argv[1:3]
failures = 0

if "wss" not in pycurl.version_info()[8] or not hasattr(pycurl.Curl, "ws_recv"):
    print(f"skipped - libcurl without WebSocket: {pycurl.version}")
    sys.exit(77)


def dial(ca_file):
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.CAINFO, ca_file)
    curl.setopt(pycurl.CONNECT_ONLY, 2)
    curl.perform()
    return curl


def patiently(call):
    """libcurl says "again" where others wait."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            return call()
        except pycurl.error as error:
            if error.args[0] != pycurl.E_AGAIN or time.monotonic() > end:
                raise
        except BlockingIOError:
            if time.monotonic() > end:
                raise
        time.sleep(0.001)


def receive(curl, length):
    whole = b""
    while len(whole) < length:
        got = patiently(lambda: curl.ws_recv(65536))
        piece = got[0] if isinstance(got, tuple) else got
        if not piece:
            break
        whole += piece
    return whole


def send(curl, payload):
    sent = 0
    while sent < len(payload):
        # One call, one frame: what does not fit is offered again.
        count = patiently(lambda: curl.ws_send(payload[sent:], pycurl.WS_BINARY))
        sent += len(payload) - sent if count is None else count


def case(name, run):
    global failures
    try:
        run()
        print(f"ok - {name}", flush=True)
    except Exception as error:  # whatever it is, the next case can still run
        failures += 1
        print(f"not ok - {name}: {type(error).__name__} {error}", flush=True)


def echo(size):
    payload = bytes(i * 31 % 256 for i in range(size))
    curl = dial(ca)
    # What curl cuts into several frames comes back as several.
    for begin in range(0, size, 16384):
        part = payload[begin : begin + 16384]
        send(curl, part)
        back = receive(curl, len(part))
        if back != part:
            raise AssertionError(f"{len(back)} bytes came back, and not the same")
    curl.close()


def refused():
    try:
        dial("/etc/ssl/certs/ca-certificates.crt")
    except pycurl.error:
        return
    raise AssertionError("it trusted a stranger")


for size in SIZES:
    case(f"binary of {size} bytes", lambda: echo(size))
case("a CA that is not this server's", refused)
sys.exit(1 if failures else 0)
