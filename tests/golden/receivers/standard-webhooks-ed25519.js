const crypto = require('node:crypto');

// For a whsk_ key: verify with the public key, whpk_…; express.raw({ type: '*/*' }).
function verify(req, publicKey) {
  const id = req.headers['webhook-id'];
  const timestamp = req.headers['webhook-timestamp'];
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return false;
  const x = Buffer.from(publicKey.slice('whpk_'.length), 'base64').toString('base64url');
  const key = crypto.createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  const content = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), req.body]);
  return req.headers['webhook-signature'].split(' ').some((item) => {
    const [version, value] = item.split(',');
    return version === 'v1a' && crypto.verify(null, content, key, Buffer.from(value, 'base64'));
  });
}

module.exports = { verify };
