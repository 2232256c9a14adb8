// Verified like standard-webhooks, over the raw body: express.raw({ type: '*/*' }).
const { verify } = require('./standard-webhooks.js');

// Structured mode is one JSON document; in binary mode the attributes are headers and the body is data.
function read(req) {
  if (req.headers['content-type'] === 'application/cloudevents+json') return JSON.parse(req.body);
  const event = { data: JSON.parse(req.body) };
  for (const [name, value] of Object.entries(req.headers)) {
    if (name.startsWith('ce-')) event[name.slice('ce-'.length)] = decodeURIComponent(value);
  }
  return event;
}

module.exports = { verify, read };
