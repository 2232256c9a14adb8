# pip install standardwebhooks; verified like standard-webhooks, over the raw body.
import json
from urllib.parse import unquote

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def verify(headers: dict[str, str], body: bytes, secret: str) -> bool:
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


# Structured mode is one JSON document; in binary mode the attributes are headers and the body is data.
def read(headers: dict[str, str], body: bytes) -> dict[str, object]:
    if headers["content-type"] == "application/cloudevents+json":
        return json.loads(body)
    attributes = {name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")}
    return {**attributes, "data": json.loads(body)}
