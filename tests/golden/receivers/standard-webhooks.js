const crypto = require('node:crypto');

// app.post('/hook', express.raw({ type: '*/*' }), …). While a secret rotates, two signatures are sent.
function verify(req, secret) {
  const id = req.headers['webhook-id'];
  const timestamp = req.headers['webhook-timestamp'];
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return false;
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const expected = crypto.createHmac('sha256', key).update(`${id}.${timestamp}.`).update(req.body).digest();
  return req.headers['webhook-signature'].split(' ').some((item) => {
    const [version, value] = item.split(',');
    const received = Buffer.from(value, 'base64');
    return version === 'v1' && received.length === 32 && crypto.timingSafeEqual(received, expected);
  });
}

module.exports = { verify };
