const crypto = require('node:crypto');

// app.post('/hook', express.raw({ type: '*/*' }), …): req.body holds the raw bytes.
function verify(req, secret) {
  const expected = crypto.createHmac('sha256', secret).update(req.body).digest('hex');
  const received = req.headers['x-notify-signature'];
  return crypto.timingSafeEqual(Buffer.from(received), Buffer.from(expected));
}

module.exports = { verify };
