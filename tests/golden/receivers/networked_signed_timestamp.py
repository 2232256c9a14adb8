import hashlib
import hmac
import time


def verify(headers: dict[str, str], body: bytes, secret: str) -> bool:
    timestamp = headers["x-webhook-timestamp"]
    if abs(time.time() - int(timestamp)) > 300:
        return False
    expected = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(headers["x-webhook-signature"], expected)
