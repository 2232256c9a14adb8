const crypto = require('node:crypto');

// For a subscription with `signature: {timestamp: signed}`; express.raw({ type: '*/*' }).
function verify(req, secret) {
  const timestamp = req.headers['x-webhook-timestamp'];
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return false;
  const expected = crypto.createHmac('sha256', secret).update(`${timestamp}.`).update(req.body).digest('hex');
  const received = req.headers['x-webhook-signature'];
  return crypto.timingSafeEqual(Buffer.from(received), Buffer.from(expected));
}

module.exports = { verify };
