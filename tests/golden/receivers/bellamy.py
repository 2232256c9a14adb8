import hashlib
import hmac


# Hash the raw body: Python's json writes numbers and escapes in a layout of its own.
def verify(headers: dict[str, str], body: bytes, secret: str) -> bool:
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(headers["x-webhook-signature"], expected)


# The body carries a signature of its own as its last member, over everything before it.
def verify_payload(body: bytes, secret: str) -> bool:
    envelope, _, signature = body.rpartition(b',"signature":')
    expected = hmac.new(secret.encode(), envelope + b"}", hashlib.sha256).hexdigest()
    return hmac.compare_digest(signature, b'"%b"}' % expected.encode())
