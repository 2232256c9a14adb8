import hashlib
import hmac


# Hash the raw body: Python's json writes numbers and escapes in a layout of its own.
def verify(headers: dict[str, str], body: bytes, secret: str) -> bool:
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(headers["x-webhook-signature"], expected)
