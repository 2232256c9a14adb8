const crypto = require('node:crypto');

// app.post('/hook', express.json(), …): req.body is the parsed payload.
function verify(req, secret) {
  const payload = JSON.stringify(req.body);
  const expected = 'sha256=' + crypto.createHmac('sha256', secret).update(payload).digest('hex');
  const received = req.headers['x-netasampark-signature'];
  return crypto.timingSafeEqual(Buffer.from(received), Buffer.from(expected));
}

module.exports = { verify };
