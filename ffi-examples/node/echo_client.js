#!/usr/bin/env node
/* echo_client.js LIBRARY URL [CONNECTIONS] [COUNT]: many WebSockets in one Node program, over libws101 loaded with koffi (npm install koffi).
 *
 * No thread of the library ever enters JavaScript: one of Node's own worker threads waits in ws_loop_wait, and its batch arrives as a promise on the
 * main thread, where everything else is called. Each connection sends COUNT messages, checks every echo, and closes in good order. */
'use strict';
const koffi = require('koffi');

const OK = 0, PENDING = 997, FOREVER = 0xffffffff, FLAG_ASYNC = 0x10000000, OPTION_LOOP = 13050;
const BINARY = 0, TEXT = 2, CLOSE = 4; // whole messages, and the peer's close frame
const RECEIVED = 1, CLOSE_COMPLETE = 3, UPGRADED = 6, BATCH = 64;

koffi.struct('ws_error_info', { size: 'uint32_t', status: 'int32_t', phase: 'int32_t', os_error: 'int32_t', http_status: 'uint16_t', close_status: 'uint16_t',
  retryable: 'uint32_t', retry_after_ms: 'uint32_t', reserved: 'uint32_t', message: koffi.array('char', 256) });
koffi.struct('ws_event', { type: 'int32_t', status: 'int32_t', handle: 'uint64_t', child: 'uint64_t', context: 'void *', operation_context: 'void *', data: 'void *',
  length: 'size_t', buffer_type: 'int32_t', operation: 'int32_t', error: 'ws_error_info *', reserved: koffi.array('uint64_t', 3) });

/* A status that is neither done nor pending is thrown, with the sentence that explains it. */
class Failure extends Error {}

/* The bytes somewhere in the library's memory, copied: they are gone at its next call. */
const copy = (data, length) => Buffer.from(length === 0 ? [] : koffi.decode(data, koffi.array('uint8_t', length)));

class Loop {
  constructor(path) {
    const library = koffi.load(path);
    this.functions = {};
    for (const [name, parameters] of Object.entries({
      ws_open: 'const char *, uint32_t, _Out_ uint64_t *', ws_connect: 'uint64_t, const char *, _Out_ uint64_t *', ws_complete_upgrade: 'uint64_t, _Out_ uint64_t *',
      ws_set_option: 'uint64_t, int32_t, uint64_t *, size_t', ws_send: 'uint64_t, int32_t, const uint8_t *, size_t', ws_close: 'uint64_t, uint16_t, const char *, size_t',
      ws_close_handle: 'uint64_t', ws_receive_message: 'uint64_t, _Out_ void **, _Out_ size_t *, _Out_ int32_t *', ws_last_error: '_Inout_ ws_error_info *',
      ws_loop_create: 'uint32_t, _Out_ uint64_t *', ws_loop_wait: 'uint64_t, ws_event *, size_t, _Out_ size_t *, uint32_t', ws_loop_wake: 'uint64_t',
    })) this.functions[name] = library.func(`int32_t ${name}(${parameters})`);
    this.waiting = new Map();
    this.handle = this.make('ws_loop_create', 0);
    this.session = this.make('ws_open', 'echo_client.js', FLAG_ASYNC);
    this.call('ws_set_option', this.session, OPTION_LOOP, [this.handle], 8);
    this.ended = this.run();
  }

  /* Whether it is done; not yet if not. */
  call(name, ...parameters) {
    const status = this.functions[name](...parameters);
    if (status === OK || status === PENDING) return status === OK;
    const why = { size: koffi.sizeof('ws_error_info') };
    this.functions.ws_last_error(why);
    throw new Failure(`${name}: ${why.message} (${status})`);
  }

  make(name, ...parameters) {
    const handle = [0];
    this.call(name, ...parameters, handle);
    return handle[0];
  }

  /* The event that ends an operation which was not done at once. */
  event(handle, type) {
    return new Promise((resolve, reject) => this.waiting.set(`${handle} ${type}`, { resolve, reject }));
  }

  /* Batches, one after another. What their events point to lives until the next wait. */
  async run() {
    const batch = koffi.alloc('ws_event', BATCH), count = [0], wait = this.functions.ws_loop_wait;
    while (!this.closing) {
      const status = await new Promise((resolve, reject) => wait.async(this.handle, batch, BATCH, count, FOREVER, (error, result) => error ? reject(error) : resolve(result)));
      if (status !== OK) throw new Failure(`ws_loop_wait (${status})`);
      for (const event of koffi.decode(batch, koffi.array('ws_event', Number(count[0])))) this.deliver(event);
    }
    koffi.free(batch);
  }

  deliver(event) {
    const key = `${event.handle} ${event.type}`, waiter = this.waiting.get(key);
    if (waiter === undefined) return;
    this.waiting.delete(key);
    if (event.status === OK) waiter.resolve({ child: event.child, type: event.buffer_type, data: event.data ? copy(event.data, Number(event.length)) : Buffer.alloc(0) });
    else waiter.reject(new Failure(`${koffi.decode(event.error, 'ws_error_info').message} (${event.status})`));
  }

  async close() {
    this.closing = true;
    this.call('ws_close_handle', this.session);
    this.call('ws_loop_wake', this.handle);
    await this.ended;
    this.call('ws_close_handle', this.handle);
  }
}

class WebSocket101 {
  constructor(loop, handle) { Object.assign(this, { loop, handle }); }

  static async dial(loop, url) {
    const request = loop.make('ws_connect', loop.session, url), websocket = [0];
    try {
      if (!loop.call('ws_complete_upgrade', request, websocket)) websocket[0] = (await loop.event(request, UPGRADED)).child;
      return new WebSocket101(loop, websocket[0]);
    } finally {
      loop.call('ws_close_handle', request);
    }
  }

  send(message) {
    const data = Buffer.from(message);
    this.loop.call('ws_send', this.handle, typeof message === 'string' ? TEXT : BINARY, data, data.length);
  }

  /* A string, a Buffer, or null: the peer's close frame. */
  async receive() {
    const data = [null], length = [0], type = [0];
    const piece = this.loop.call('ws_receive_message', this.handle, data, length, type)
      ? { type: type[0], data: data[0] ? copy(data[0], Number(length[0])) : Buffer.alloc(0) }
      : await this.loop.event(this.handle, RECEIVED);
    return piece.type === CLOSE ? null : piece.type === TEXT ? piece.data.toString() : piece.data;
  }

  async close(status = 1000) {
    try {
      if (!this.loop.call('ws_close', this.handle, status, null, 0)) await this.loop.event(this.handle, CLOSE_COMPLETE);
    } finally {
      this.loop.call('ws_close_handle', this.handle);
    }
  }
}

async function converse(loop, url, number, count) {
  const websocket = await WebSocket101.dial(loop, url);
  for (let turn = 0; turn < count; turn++) {
    const message = turn % 2 ? `connection ${number}, message ${turn}: zwölf` : Buffer.alloc(2 * turn, number);
    websocket.send(message);
    const echo = await websocket.receive();
    if (typeof message === 'string' ? echo !== message : !message.equals(echo)) throw new Failure(`connection ${number}: message ${turn} came back changed`);
  }
  await websocket.close();
}

async function main([library, url, connections = 10, count = 100]) {
  if (url === undefined) throw new Failure('usage: echo_client.js LIBRARY URL [CONNECTIONS] [COUNT]');
  const loop = new Loop(library);
  await Promise.all(Array.from({ length: Number(connections) }, (_, number) => converse(loop, url, number, Number(count))));
  await loop.close();
  console.log(`${connections} connections, ${count} messages each, every echo right`);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error instanceof Failure ? error.message : error);
  process.exit(1);
});
