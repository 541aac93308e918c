// ws_server.mjs PROBE_CLIENT: node ws as the server of probe_client, whose printed events are compared.
// ws_server.mjs --echo [--wrong]: an echo server for the harness's own test; prints its URL. --wrong swaps text and binary and spoils closes.
//
// With JUDGE_CERTIFICATE and JUDGE_KEY (PEM files) in the environment, over TLS.
// One line a case, "ok - NAME" or "not ok - NAME: WHY". Exits with 1 if one failed.
import { createHash } from 'node:crypto';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';

const { WebSocketServer } = createRequire(process.env.PEERS_NODE + '/')('ws');
const SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20];
const CLOSES = [[1000, ''], [1001, 'leaving'], [3000, 'äöü'], [4999, 'x'.repeat(123)]];
const OPEN = 'OPEN protocol=- extensions=-';
const CLOSED = 'CLOSED 1000 1';
let failures = 0;
let conversation = () => {};
let trouble = [];
let over = Promise.resolve(); // when the conversation has ended on this side too

const isEcho = process.argv[2] === '--echo';
const isWrong = process.argv[3] === '--wrong';
const { JUDGE_CERTIFICATE: certificate, JUDGE_KEY: key } = process.env;
const secure = certificate && createServer({ cert: readFileSync(certificate), key: readFileSync(key) }).listen(0, '127.0.0.1');
const server = new WebSocketServer({
  ...(secure ? { server: secure } : { host: '127.0.0.1', port: 0 }),
  perMessageDeflate: false,
  maxPayload: 64 << 20,
  handleProtocols: (offered) => (offered.has('superchat') ? 'superchat' : false),
  verifyClient: ({ req, origin }, answer) => (req.url === '/refused' || (origin && isEcho) ? answer(isWrong, 403, 'Forbidden') : answer(true)),
});
server.on('connection', (socket) => {
  over = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', (error) => trouble.push(error.message));
  Promise.resolve(conversation(socket)).catch((error) => trouble.push(error.message));
});
await new Promise((resolve) => server.once('listening', resolve));
const { port } = server.address();

function message(payload) {
  const kind = Buffer.isBuffer(payload) ? 'binary' : 'text';
  return `MSG ${kind} ${Buffer.byteLength(payload)} ${createHash('sha1').update(payload).digest('hex')}`;
}

function expect(expected, actual) {
  if (expected !== actual) throw new Error(`got ${String(actual).slice(0, 80)}, expected ${String(expected).slice(0, 80)}`);
}

async function test(name, lines, does, path = '/', environment = {}) {
  conversation = does;
  trouble = [];
  over = Promise.resolve();
  try {
    const env = { ...process.env, PROBE_TIMEOUT: '10', ...environment };
    const { stdout } = await promisify(execFile)(process.argv[2], [`${secure ? 'wss' : 'ws'}://127.0.0.1:${port}${path}`], { env, timeout: 60000 });
    const printed = stdout.split('\n').slice(0, -1);
    expect(lines.length, printed.length);
    // A line ending in … is only the start of one.
    lines.forEach((line, i) => expect(line.replace(/…$/, ''), line.endsWith('…') ? printed[i].slice(0, line.length - 1) : printed[i]));
    await over;
    if (trouble.length > 0) throw new Error(trouble[0]);
    console.log(`ok - ${name}`);
  } catch (error) {
    failures++;
    console.log(`not ok - ${name}: ${error.message}`);
  }
}

/** Sends, and closes when the same came back. */
const echoed = (payload, send) => (socket) => {
  socket.on('message', (data, isBinary) => {
    if (isBinary !== Buffer.isBuffer(payload) || !data.equals(Buffer.from(payload))) trouble.push('another echo came back');
    socket.close(1000);
  });
  send(socket);
};

async function judge() {
  for (const size of SIZES) {
    const payloads = ['ä'.repeat(size >> 1) + 'a'.repeat(size & 1), Buffer.from(Uint8Array.from({ length: size }, (_, i) => i * 31))];
    for (const payload of payloads) {
      const kind = Buffer.isBuffer(payload) ? 'binary' : 'text';
      await test(`${kind} of ${size} bytes`, [OPEN, message(payload), CLOSED], echoed(payload, (socket) => socket.send(payload)));
    }
  }
  const whole = 'fragmented ' + 'ä'.repeat(70000);
  await test('a fragmented text, a ping between the fragments', [OPEN, message(whole), CLOSED], echoed(whole, (socket) => {
    socket.on('pong', (data) => { if (String(data) !== 'between') trouble.push('another pong came back'); });
    socket.send('frag', { fin: false });
    socket.send('', { fin: false });
    socket.ping('between');
    socket.send('mented ', { fin: false });
    socket.send('ä'.repeat(70000), { fin: true });
  }));
  for (const size of [0, 4, 125]) {
    await test(`a ping of ${size} bytes`, [OPEN, CLOSED], (socket) => {
      socket.on('pong', (data) => {
        if (!data.equals(Buffer.alloc(size, 'p'))) trouble.push('another pong came back');
        socket.close(1000);
      });
      socket.ping(Buffer.alloc(size, 'p'));
    });
  }
  for (const [code, reason] of CLOSES) {
    await test(`their close ${code}`, [OPEN, `CLOSED ${code} 1 ${reason}`.trimEnd()], (socket) => {
      socket.on('close', (got) => { if (got !== code) trouble.push(`close ${got} came back`); });
      socket.close(code, reason);
    });
    const order = `close ${code} ${reason}`.trimEnd();
    await test(`our close ${code}`, [OPEN, message(order), `CLOSED ${code} 1…`], (socket) => {
      socket.on('close', (got, text) => { if (got !== code || String(text) !== reason) trouble.push(`close ${got} ${text} came`); });
      socket.send(order);
    });
  }
  await test('a close without a status', [OPEN, 'CLOSED 1005 1'], (socket) => socket.close());
  await test('an end without a close frame', [OPEN, 'CLOSED 1006 0…'], (socket) => socket.terminate());
  await test('a sub-protocol of both', ['OPEN protocol=superchat extensions=-', CLOSED], (socket) => socket.close(1000), '/', { PROBE_PROTOCOL: 'chat,superchat' });
  await test('a refused upgrade', ['FAIL http-403…'], () => {}, '/refused');
  process.exit(failures > 0 ? 1 : 0);
}

if (isEcho) {
  conversation = (socket) => socket.on('message', (data, isBinary) => {
    socket.send(data, { binary: isBinary !== isWrong });
    if (isWrong) socket.close(1011);
  });
  console.log(`listening on ws://127.0.0.1:${port}/`);
} else {
  await judge();
}
