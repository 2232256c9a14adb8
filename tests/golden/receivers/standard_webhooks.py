# pip install standardwebhooks
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def verify(headers: dict[str, str], body: bytes, secret: str) -> bool:
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True
