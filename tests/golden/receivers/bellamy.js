const crypto = require('node:crypto');

const hmac = (secret, text) => crypto.createHmac('sha256', secret).update(text).digest('hex');
const equal = (a, b) => crypto.timingSafeEqual(Buffer.from(a), Buffer.from(b));

// app.post('/hook', express.json(), …): req.body is the parsed payload.
function verify(req, secret) {
  return equal(req.headers['x-webhook-signature'], hmac(secret, JSON.stringify(req.body)));
}

// The body carries a signature of its own, over everything before it.
function verifyPayload(req, secret) {
  const { signature, ...envelope } = req.body;
  return equal(signature, hmac(secret, JSON.stringify(envelope)));
}

module.exports = { verify, verifyPayload };
