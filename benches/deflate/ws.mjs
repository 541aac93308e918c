// ws.mjs FILE SECONDS TAKEOVER LEVEL: as ws101.c, with node ws. Its library does the coding on threads of its own, which its processor time counts.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { WebSocket, WebSocketServer } = createRequire(process.env.PEERS_NODE + '/')('ws');
const [path, seconds, takeover, level] = process.argv.slice(2);
const lines = readFileSync(path, 'latin1').split('\n').slice(0, -1);
const perMessageDeflate = {
  threshold: 0,
  serverNoContextTakeover: takeover === '0',
  clientNoContextTakeover: takeover === '0',
  zlibDeflateOptions: { level: Number(level) },
};
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate });
let received = 0;
server.on('connection', (socket) => socket.on('message', (data) => {
  const line = lines[received++ % lines.length];
  if (data.length !== line.length || data[data.length - 1] !== line.charCodeAt(line.length - 1)) throw new Error('another message');
}));
server.on('listening', () => {
  const client = new WebSocket(`ws://127.0.0.1:${server.address().port}/`, { perMessageDeflate });
  client.on('open', async () => {
    const [begin, used] = [process.hrtime.bigint(), process.cpuUsage()];
    const end = begin + BigInt(Math.round(Number(seconds) * 1e9));
    const before = client._socket.bytesWritten;
    let [messages, bytes] = [0, 0];
    while (process.hrtime.bigint() < end) {
      const sent = [];
      for (let i = 0; i < 64; i++, messages++) {
        const line = lines[messages % lines.length];
        bytes += line.length;
        sent.push(new Promise((resolve) => client.send(line, resolve)));
      }
      await Promise.all(sent);
    }
    const wire = client._socket.bytesWritten - before;
    client.close();
    server.clients.forEach((socket) => socket.on('close', () => {
      if (received !== messages) throw new Error(`${received} of ${messages} came`);
      const cpu = process.cpuUsage(used);
      console.log(messages, bytes, wire, Number(process.hrtime.bigint() - begin) / 1e9, (cpu.user + cpu.system) / 1e6);
      process.exit(0);
    }));
  });
});
