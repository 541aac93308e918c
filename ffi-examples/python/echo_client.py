#!/usr/bin/env python3
"""echo_client.py LIBRARY URL [CONNECTIONS] [COUNT]: many WebSockets in one asyncio loop, over libws101 loaded with ctypes.

No thread of the library ever enters Python: asyncio watches the loop's one descriptor (add_reader), and takes what has happened as a batch.
Each connection sends COUNT messages, checks every echo, and closes in good order.
"""

import asyncio
import ctypes
import sys
from ctypes import POINTER, Structure, byref, c_char, c_char_p, c_int32, c_int64, c_size_t, c_uint16, c_uint32, c_uint64, c_void_p

OK, PENDING, FOREVER = 0, 997, 0xFFFFFFFF
FLAG_ASYNC, OPTION_LOOP = 0x10000000, 13050
BINARY, TEXT, CLOSE = 0, 2, 4  # whole messages, and the peer's close frame
RECEIVED, CLOSE_COMPLETE, UPGRADED = 1, 3, 6


class ErrorInfo(Structure):
    _fields_ = [("size", c_uint32), ("status", c_int32), ("phase", c_int32), ("os_error", c_int32), ("http_status", c_uint16),
                ("close_status", c_uint16), ("retryable", c_uint32), ("retry_after_ms", c_uint32), ("reserved", c_uint32), ("message", c_char * 256)]


class Event(Structure):
    _fields_ = [("type", c_int32), ("status", c_int32), ("handle", c_uint64), ("child", c_uint64), ("context", c_void_p),
                ("operation_context", c_void_p), ("data", c_void_p), ("length", c_size_t), ("buffer_type", c_int32), ("operation", c_int32),
                ("error", POINTER(ErrorInfo)), ("reserved", c_uint64 * 3)]


SIGNATURES = {
    "ws_open": (c_char_p, c_uint32, POINTER(c_uint64)), "ws_connect": (c_uint64, c_char_p, POINTER(c_uint64)),
    "ws_complete_upgrade": (c_uint64, POINTER(c_uint64)), "ws_set_option": (c_uint64, c_int32, c_void_p, c_size_t),
    "ws_send": (c_uint64, c_int32, c_char_p, c_size_t), "ws_close": (c_uint64, c_uint16, c_char_p, c_size_t), "ws_close_handle": (c_uint64,),
    "ws_receive_message": (c_uint64, POINTER(c_void_p), POINTER(c_size_t), POINTER(c_int32)), "ws_last_error": (POINTER(ErrorInfo),),
    "ws_loop_create": (c_uint32, POINTER(c_uint64)), "ws_loop_descriptor": (c_uint64, POINTER(c_int64)),
    "ws_loop_timeout": (c_uint64, POINTER(c_uint32)), "ws_loop_wait": (c_uint64, POINTER(Event), c_size_t, POINTER(c_size_t), c_uint32),
}


class Failure(Exception):
    """A status, and the sentence that explains it."""


class Loop:
    """A loop of the library inside the running loop of asyncio, and a session on it."""

    def __init__(self, library):
        self.library = ctypes.CDLL(library)
        for name, arguments in SIGNATURES.items():
            getattr(self.library, name).argtypes = arguments
        self.asyncio, self.timer, self.waiting, self.batch = asyncio.get_running_loop(), None, {}, (Event * 64)()
        self.handle = self.make("ws_loop_create", 0)
        self.session = self.make("ws_open", b"echo_client.py", FLAG_ASYNC)
        self.call("ws_set_option", self.session, OPTION_LOOP, byref(c_uint64(self.handle)), 8)
        descriptor = c_int64()
        self.call("ws_loop_descriptor", self.handle, byref(descriptor))
        self.descriptor = descriptor.value
        self.asyncio.add_reader(self.descriptor, self.turn)

    def call(self, name, *arguments):
        """Whether it is done; not yet if not. Afterwards the library may want the thread at another time than before."""
        status = getattr(self.library, name)(*arguments)
        if status not in (OK, PENDING):
            why = ErrorInfo(size=ctypes.sizeof(ErrorInfo))
            self.library.ws_last_error(byref(why))
            raise Failure(f"{name}: {why.message.decode()} ({status})")
        return status == OK

    def make(self, name, *arguments):
        handle = c_uint64()
        self.call(name, *arguments, byref(handle))
        return handle.value

    def event(self, handle, kind):
        """The event that ends an operation which was not done at once."""
        self.plan()
        future = self.waiting[handle, kind] = self.asyncio.create_future()
        return future

    def turn(self):
        """Lets the library do what can be done now. What events point to lives until the next turn: it is copied."""
        count = c_size_t()
        self.call("ws_loop_wait", self.handle, self.batch, len(self.batch), byref(count), 0)
        for event in self.batch[:count.value]:
            future = self.waiting.pop((event.handle, event.type), None)
            if future is None or future.done():
                continue
            if event.status == OK:
                future.set_result((event.child, event.buffer_type, ctypes.string_at(event.data, event.length) if event.data else b""))
            else:
                future.set_exception(Failure(f"{event.error.contents.message.decode()} ({event.status})"))
        self.plan()

    def plan(self):
        """How long asyncio may sleep, if the descriptor stays quiet."""
        timeout = c_uint32()
        self.call("ws_loop_timeout", self.handle, byref(timeout))
        if self.timer is not None:
            self.timer.cancel()
        self.timer = None if timeout.value == FOREVER else self.asyncio.call_later(timeout.value / 1000, self.turn)

    def close(self):
        self.asyncio.remove_reader(self.descriptor)
        if self.timer is not None:
            self.timer.cancel()
        self.call("ws_close_handle", self.session)
        self.call("ws_close_handle", self.handle)


class WebSocket:
    def __init__(self, loop, handle):
        self.loop, self.handle = loop, handle

    @classmethod
    async def dial(cls, loop, url):
        request, websocket = loop.make("ws_connect", loop.session, url.encode()), c_uint64()
        try:
            if not loop.call("ws_complete_upgrade", request, byref(websocket)):
                websocket.value = (await loop.event(request, UPGRADED))[0]
            return cls(loop, websocket.value)
        finally:
            loop.call("ws_close_handle", request)

    def send(self, message):
        kind, data = (TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
        self.loop.call("ws_send", self.handle, kind, data, len(data))
        self.loop.plan()

    async def receive(self):
        """A str, bytes, or None: the peer's close frame."""
        data, length, kind = c_void_p(), c_size_t(), c_int32()
        if self.loop.call("ws_receive_message", self.handle, byref(data), byref(length), byref(kind)):
            kind, payload = kind.value, ctypes.string_at(data, length.value) if data else b""
        else:
            _, kind, payload = await self.loop.event(self.handle, RECEIVED)
        return {TEXT: lambda: payload.decode(), BINARY: lambda: payload, CLOSE: lambda: None}[kind]()

    async def close(self, status=1000):
        try:
            if not self.loop.call("ws_close", self.handle, status, None, 0):
                await self.loop.event(self.handle, CLOSE_COMPLETE)
        finally:
            self.loop.call("ws_close_handle", self.handle)


async def converse(loop, url, number, count):
    websocket = await WebSocket.dial(loop, url)
    for turn in range(count):
        message = f"connection {number}, message {turn}: zwölf" if turn % 2 else bytes([number % 256, turn % 256]) * turn
        websocket.send(message)
        if await websocket.receive() != message:
            raise Failure(f"connection {number}: message {turn} came back changed")
    await websocket.close()


async def main(library, url, connections=10, count=100):
    loop = Loop(library)
    await asyncio.gather(*(converse(loop, url, number, int(count)) for number in range(int(connections))))
    loop.close()
    print(f"{connections} connections, {count} messages each, every echo right")


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 5:
        sys.exit("usage: echo_client.py LIBRARY URL [CONNECTIONS] [COUNT]")
    asyncio.run(main(*sys.argv[1:]))
