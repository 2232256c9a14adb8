// Runs the receivers of this folder: one JSON request per line in, one JSON answer per line out.
// Stands in for Express: lower-case header names, and a parsed body for the guides that ask for one.
const path = require('node:path');
const readline = require('node:readline');

const PARSED = new Set(['webhooks-v1', 'bellamy', 'netasampark']);

function answer({ receiver, headers, body, secret }) {
  const raw = Buffer.from(body, 'base64');
  const code = require(path.join(__dirname, 'receivers', `${receiver}.js`));
  const req = { headers, body: PARSED.has(receiver) ? JSON.parse(raw.toString('utf8')) : raw };
  return {
    verified: code.verify(req, secret) && (code.verifyPayload === undefined || code.verifyPayload(req, secret)),
    unchanged: Buffer.from(JSON.stringify(JSON.parse(raw.toString('utf8'))), 'utf8').equals(raw),
    event: code.read ? code.read(req) : null,
  };
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  let result;
  try {
    result = answer(JSON.parse(line));
  } catch (error) {
    result = { verified: false, unchanged: false, error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(result)}\n`);
});
