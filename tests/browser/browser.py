"""browser.py BROWSER PROGRAMS [NGINX]: drives a Chromium over its debugging pipe and lets its own WebSocket talk to our servers: directly, compressed, and
compressed with nginx between them.

The scripts run in pages of the server itself: a page of another origin would be refused, as it should. Prints a line a case and a summary; exits with 0, 1, or 77 if
the browser does not start.
"""

import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

HELPERS = """
const dial = (path = '/') => new Promise((resolve, reject) => {
  const socket = new WebSocket(location.origin.replace('http', 'ws') + path);
  const compressed = location.search === '?compressed';
  socket.binaryType = 'arraybuffer';
  socket.received = [];
  socket.wanted = [];
  socket.onmessage = event => socket.wanted.length ? socket.wanted.shift()(event.data) : socket.received.push(event.data);
  socket.closed = new Promise(done => socket.onclose = event => done([event.code, event.reason, event.wasClean]));
  socket.next = () => new Promise(done => socket.received.length ? done(socket.received.shift()) : socket.wanted.push(done));
  socket.onopen = () => socket.extensions.startsWith('permessage-deflate') === compressed ? resolve(socket) : reject(new Error('extensions: ' + socket.extensions));
  socket.onerror = () => reject(new Error('cannot connect'));
});
const same = (left, right) => {
  const a = new Uint8Array(left), b = new Uint8Array(right);
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
};
const pattern = size => new Uint8Array(size).map((_, i) => i * 7 + (i >> 8));
"""

# Name, script, what it must return.
ECHOES = [
    ("text comes back", "const s = await dial(); const said = ['hello', '', 'zwölf 🦀', 'x'.repeat(70000)]; const heard = [];"
     "for (const text of said) { s.send(text); heard.push(await s.next()); } s.close(); await s.closed; return heard.every((text, i) => text === said[i])", True),
    ("binary comes back", "const s = await dial(); for (const size of [0, 1, 125, 126, 65535, 65536, 1000000]) { s.send(pattern(size)); const echo = await s.next();"
     "if (!(echo instanceof ArrayBuffer) || !same(echo, pattern(size))) return size } s.close(); await s.closed; return 'all'", "all"),
    ("16 MiB come back", "const s = await dial(); const all = pattern(16 << 20); s.send(all); const echo = await s.next(); s.close(); await s.closed;"
     "return [echo.byteLength, same(echo, all)]", [16 << 20, True]),
    ("many messages keep their order", "const s = await dial(); for (let i = 0; i < 5000; i++) s.send(String(i)); for (let i = 0; i < 5000; i++) if (await s.next() !== String(i)) return i;"
     "s.close(); await s.closed; return 'all'", "all"),
    ("200 connections at once", "const all = await Promise.all(Array.from({length: 200}, () => dial())); all.forEach((s, i) => s.send('number ' + i));"
     "const heard = await Promise.all(all.map(s => s.next())); all.forEach(s => s.close(1000)); const ends = await Promise.all(all.map(s => s.closed));"
     "return [heard.every((text, i) => text === 'number ' + i), ends.every(end => end[0] === 1000 && end[2])]", [True, True]),
    ("a close without a status", "const s = await dial(); s.close(); return await s.closed", [1005, "", True]),
    ("a close with status and reason", "const s = await dial(); s.close(3001, 'bye'); return await s.closed", [3001, "", True]),
    ("the largest status", "const s = await dial(); s.close(4999); return await s.closed", [4999, "", True]),
    ("a page that goes away", "const frame = document.createElement('iframe'); frame.src = location.href; document.documentElement.append(frame); await new Promise(done => frame.onload = done);"
     "const socket = new frame.contentWindow.WebSocket(location.origin.replace('http', 'ws')); await new Promise(done => socket.onopen = done); frame.remove(); return 'gone'", "gone"),
]

# What only compressed messages can do wrong.
COMPRESSED = [
    ("a stream of JSON comes back", "const s = await dial(); const said = i => JSON.stringify({type: 'tick', symbol: 'MSFT', number: i * 7919, note: 'y'.repeat(i % 3000)});"
     "for (let i = 0; i < 2000; i++) s.send(said(i)); for (let i = 0; i < 2000; i++) if (await s.next() !== said(i)) return i; s.close(); await s.closed; return 'all'", "all"),
    ("what cannot be compressed comes back", "const s = await dial(); for (const size of [1, 64, 1024, 65536]) { const noise = crypto.getRandomValues(new Uint8Array(size)); s.send(noise);"
     "if (!same(await s.next(), noise)) return size } s.close(); await s.closed; return 'all'", "all"),
]
LARGE = ("const s = await dial(); s.send('x'.repeat(1 << 20)); const echo = await s.next(); s.close(); await s.closed; return echo.length", 1 << 20)


class Browser:
    """One Chromium, and the messages of its debugging protocol, each ended by a NUL."""

    def __init__(self, program, profile):
        to_browser, self.writer = os.pipe()
        self.reader, from_browser = os.pipe()
        for end in (to_browser, from_browser):
            os.set_inheritable(end, True)

        def set_up():
            # The protocol wants 3 and 4. Above them first, so that neither is overwritten.
            high = [os.dup2(end, number) for end, number in ((to_browser, 100), (from_browser, 101))]
            os.dup2(high[0], 3), os.dup2(high[1], 4)

        arguments = [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe",
                     f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(arguments, preexec_fn=set_up, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser), os.close(from_browser)
        self.rest, self.number = b"", 0

    def receive(self, deadline):
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.reader], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(self.reader, 1 << 20) if ready else b""
            if not piece:
                raise TimeoutError("the browser does not answer")
            self.rest += piece
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, session=None, seconds=60, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + seconds
        while True:
            answer = self.receive(deadline)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def open(self, url):
        """A page of its own; returns its session."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.navigate", session, url=url)
        self.until(session, f"location.href === {json.dumps(url)} && document.readyState === 'complete'")
        return session

    def run(self, session, script, seconds=60):
        result = self.call("Runtime.evaluate", session, seconds, expression=f"(async () => {{ {script} }})()", awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"].get("exception", {}).get("description", "an exception"))
        return result["result"].get("value")

    def until(self, session, condition, seconds=10):
        deadline = time.monotonic() + seconds
        while not self.run(session, f"return {condition}"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"never true: {condition}")
            time.sleep(0.02)

    def close(self):
        self.process.kill()
        self.process.wait()


class Server:
    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = self.process.stdout.readline().removeprefix("listening on ").strip().replace("ws", "http", 1)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


class Nginx:
    """nginx in front of a server. It writes down how many bytes a client was sent over each connection."""

    def __init__(self, program, url):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.place = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        place = pathlib.Path(self.place.name)
        self.log, self.url = place / "sent", f"http://127.0.0.1:{port}/"
        temporary = "".join(f"{kind}_temp_path {place}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (place / "nginx.conf").write_text(f"""
            daemon off; pid {place}/pid; error_log {place}/error; worker_processes 1; events {{ worker_connections 1024; }}
            http {{ log_format sent "$status $bytes_sent"; access_log {self.log} sent; {temporary}
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {url}; proxy_http_version 1.1; proxy_read_timeout 60s;
              proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_set_header Host $http_host; }} }} }}""")
        self.process = subprocess.Popen([program, "-e", place / "error", "-c", place / "nginx.conf", "-p", place], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("nginx does not listen: " + (place / "error").read_text()[-300:]) from None
                time.sleep(0.02)

    def sent(self):
        """How many bytes went over the last WebSocket that ended; waits for the first."""
        deadline = time.monotonic() + 10
        while True:
            lines = [line.split() for line in self.log.read_text().splitlines() if line.startswith("101 ")]
            if lines:
                return int(lines[-1][1])
            if time.monotonic() > deadline:
                raise TimeoutError("nginx has written nothing down")
            time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)
        self.place.cleanup()


class Cases:
    def __init__(self):
        self.passed = self.failed = self.again = 0

    def check(self, name, expected, body):
        seen = self.attempt(body)
        if isinstance(seen, TimeoutError):
            # A browser under load loses a load event now and then. What the server does wrong it does twice.
            print(f"# {name}: {seen}; once more", flush=True)
            self.again += 1
            seen = self.attempt(body)
        good = not isinstance(seen, Exception) and seen == expected
        self.passed, self.failed = self.passed + good, self.failed + (not good)
        print(f"{'ok' if good else 'not ok'} - {name}" + ("" if good else f": {seen}, expected {expected}"), flush=True)

    @staticmethod
    def attempt(body):
        try:
            return body()
        except (RuntimeError, TimeoutError, subprocess.TimeoutExpired) as error:
            return error


def echo(cases, browser, programs, mode, *options, nginx=None):
    server = Server(programs / "echo_server", "--port", "0", "--mode", mode, *options)
    front = Nginx(nginx, server.url) if nginx else None
    page = browser.open((front or server).url + ("?compressed" if options else ""))
    title = " ".join([mode, *options]) + (" behind nginx" if front else "")
    if front:
        # A megabyte of x, each way: some thousand bytes.
        cases.check(f"{title}: 1 MiB comes back", LARGE[1], lambda: browser.run(page, HELPERS + LARGE[0]))
        cases.check(f"{title}: and is compressed", True, lambda: front.sent() < 20000)
    for name, script, expected in ECHOES + (COMPRESSED if options else []):
        cases.check(f"{title}: {name}", expected, lambda script=script: browser.run(page, HELPERS + script))
    cases.check(f"{title}: the server goes away", [[1001, True]] * 20, lambda: stop_under(browser, page, server))
    cases.check(f"{title}: the server ends well", 0, lambda: server.process.wait(timeout=20))
    if front:
        front.stop()


def stop_under(browser, page, server):
    """Twenty connections are open when it is asked to stop: each is told 1001."""
    browser.run(page, HELPERS + "window.open20 = await Promise.all(Array.from({length: 20}, () => dial()))")
    server.process.send_signal(signal.SIGTERM)
    return browser.run(page, "return (await Promise.all(open20.map(s => s.closed))).map(end => [end[0], end[2]])")


def chat(cases, browser, programs):
    server = Server(programs / "chat_server", "--port", "0")
    said = "Array.from(document.querySelectorAll('#said li'), item => item.textContent)"
    pages = []

    def enter(number):
        pages.append(browser.open(server.url))
        browser.until(pages[-1], f"{said}.includes('[{number}] came')")
        return True

    def say(page, text):
        browser.run(pages[page], f"line.value = {json.dumps(text)}; document.getElementById('say').requestSubmit()")
        for other in pages:
            browser.until(other, f"{said}.includes('[{page + 1}]: ' + {json.dumps(text)})")
        return browser.run(pages[0], "return document.querySelectorAll('#said b').length")

    cases.check("chat: the first comes", True, lambda: enter(1))
    cases.check("chat: the second comes", True, lambda: enter(2))
    cases.check("chat: everybody hears the first", 0, lambda: say(0, "hello, zwölf 🦀"))
    cases.check("chat: everybody hears the second, as text", 0, lambda: say(1, "<b>bold</b>"))
    cases.check("chat: there is one page", 404, lambda: browser.run(pages[0], "return (await fetch('/elsewhere')).status"))
    cases.check("chat: who says too much is closed", [1009, True], lambda: browser.run(pages[0], HELPERS + "const s = await dial(); s.send('x'.repeat(5000));"
                                                                                     "const end = await s.closed; return [end[0], end[2]]"))
    server.process.send_signal(signal.SIGTERM)
    for page in range(2):
        cases.check(f"chat: page {page + 1} is told the end", None, lambda page=page: browser.until(pages[page], f"{said}.some(text => text.startsWith('closed 1001'))"))
    cases.check("chat: the server ends well", 0, lambda: server.process.wait(timeout=20))


def main():
    program, programs, nginx, cases = sys.argv[1], pathlib.Path(sys.argv[2]), (sys.argv[3:] or [None])[0], Cases()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        try:
            version = browser.call("Browser.getVersion", seconds=60)["product"]
        except (TimeoutError, OSError):
            print(f"browser: {program} does not start here")
            return 77
        try:
            for mode in ("blocking", "loop"):
                echo(cases, browser, programs, mode)
                echo(cases, browser, programs, mode, "--deflate")
                echo(cases, browser, programs, mode, "--deflate", "--context-takeover")
                if nginx:
                    echo(cases, browser, programs, mode, "--deflate", nginx=nginx)
                    echo(cases, browser, programs, mode, "--deflate", "--context-takeover", nginx=nginx)
                else:
                    print("skipped - behind nginx, which is not here: apt-get install nginx-light", flush=True)
            chat(cases, browser, programs)
        finally:
            browser.close()
    print(f"{version}: {cases.passed} passed, {cases.failed} failed" + (f", {cases.again} on a second try" if cases.again else "") + ("" if nginx else ", some skipped: no nginx"))
    return 0 if cases.failed == 0 and cases.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
