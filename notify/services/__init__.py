"""What other rooms and people do here."""

from notify.brand import Brand
from notify.notices import Notice
from notify.services.channels import (
    channel_change,
    channel_create,
    channel_remove,
    channel_secret_rotate,
    channel_test,
)
from notify.services.mail import delivery_send_again, mail_send
from notify.services.telling import channel_send

__all__ = [
    "Brand",
    "Notice",
    "channel_change",
    "channel_create",
    "channel_remove",
    "channel_secret_rotate",
    "channel_send",
    "channel_test",
    "delivery_send_again",
    "mail_send",
]
