// ws_client.mjs URL: node ws as the client of an echo server that speaks the sub-protocols superchat and chat.
//
// One line a case, "ok - NAME" or "not ok - NAME: WHY". Exits with 1 if one failed.
import { createRequire } from 'node:module';

const WebSocket = createRequire(process.env.PEERS_NODE + '/')('ws');
const SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20];
const CLOSES = [[1000, ''], [1000, 'Done'], [1001, 'leaving'], [3000, 'äöü'], [4999, 'x'.repeat(123)]];
const MILLISECONDS = 20000;
const url = process.argv[2];
const isCompressed = Boolean(process.env.INTEROP_COMPRESSED);
let failures = 0;

const dial = (protocols = [], options = {}) => new WebSocket(url, protocols, { perMessageDeflate: isCompressed && { threshold: 0 }, ...options });

/** The next event of that name, as the array of its arguments. */
function next(emitter, name) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${name} in time`)), MILLISECONDS);
    emitter.once(name, (...values) => { clearTimeout(timer); resolve(values); });
    if (name !== 'error') emitter.once('error', (error) => { clearTimeout(timer); reject(error); });
  });
}

function expect(expected, actual) {
  const same = Buffer.isBuffer(expected) ? Buffer.isBuffer(actual) && expected.equals(actual) : expected === actual;
  if (!same) throw new Error(`got ${String(actual).slice(0, 60)}, expected ${String(expected).slice(0, 60)}`);
}

async function test(name, run, ...dialling) {
  const socket = dial(...dialling);
  try {
    await run(socket);
    console.log(`ok - ${name}`);
  } catch (error) {
    failures++;
    console.log(`not ok - ${name}: ${error.message}`);
  }
  socket.on('error', () => {});
  socket.terminate();
}

async function echoes(socket, payload, send) {
  await next(socket, 'open');
  expect(isCompressed ? 'permessage-deflate' : '', socket.extensions);
  const answer = next(socket, 'message');
  send();
  const [data, isBinary] = await answer;
  expect(Buffer.isBuffer(payload), isBinary);
  expect(Buffer.from(payload), data);
}

for (const size of SIZES) {
  const payloads = ['ä'.repeat(size >> 1) + 'a'.repeat(size & 1), Buffer.from(Uint8Array.from({ length: size }, (_, i) => i * 31))];
  for (const payload of payloads) {
    const kind = Buffer.isBuffer(payload) ? 'binary' : 'text';
    await test(`${kind} of ${size} bytes`, (socket) => echoes(socket, payload, () => socket.send(payload)));
  }
}

await test('a fragmented text, a ping between the fragments', async (socket) => {
  const pong = next(socket, 'pong');
  await echoes(socket, 'fragmented ' + 'ä'.repeat(70000), () => {
    socket.send('frag', { fin: false });
    socket.send('', { fin: false });
    socket.ping('between');
    socket.send('mented ', { fin: false });
    socket.send('ä'.repeat(70000), { fin: true });
  });
  expect('between', String((await pong)[0]));
});

await test('a fragmented binary with an empty end', (socket) =>
  echoes(socket, Buffer.alloc(65536 + 126, 'b'), () => {
    socket.send(Buffer.alloc(126, 'b'), { fin: false });
    socket.send(Buffer.alloc(65536, 'b'), { fin: false });
    socket.send(Buffer.alloc(0), { fin: true });
  }));

for (const size of [0, 4, 125]) {
  await test(`a ping of ${size} bytes`, async (socket) => {
    await next(socket, 'open');
    const pong = next(socket, 'pong');
    socket.ping(Buffer.alloc(size, 'p'));
    expect(Buffer.alloc(size, 'p'), (await pong)[0]);
  });
}

for (const [code, reason] of CLOSES) {
  await test(`close ${code}, ${reason.length} characters`, async (socket) => {
    await next(socket, 'open');
    const closed = next(socket, 'close');
    socket.close(code, reason);
    // 1006 if no close frame came back.
    expect(code, (await closed)[0]);
  });
}

await test('a close without a status', async (socket) => {
  await next(socket, 'open');
  const closed = next(socket, 'close');
  socket.close();
  expect(1005, (await closed)[0]);
});

await test('a sub-protocol of both', async (socket) => {
  await next(socket, 'open');
  expect('superchat', socket.protocol); // the server's first of those that were offered
}, ['chat', 'superchat']);

await test('a foreign origin is refused', async (socket) => {
  const [, response] = await next(socket, 'unexpected-response');
  expect(403, response.statusCode);
}, [], { origin: 'http://example.com' });

process.exit(failures > 0 ? 1 : 0);
