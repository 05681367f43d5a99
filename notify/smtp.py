"""One mail to one server. TLS is verified; a password never travels in the clear."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from typing import Final

from notify.deadline import deadline
from notify.result import Result, shown
from notify.settings import MailSettings

ANSWER_SECONDS: Final = 15
"""For each answer of the server."""
WHOLE_SECONDS: Final = 60


def send(mail: EmailMessage, *, sender: str, to: str, settings: MailSettings) -> Result:
    """Hand the mail over.

    Temporary: the server said 4xx, did not answer, or could not be trusted (the operator can
    mend that). Permanent: it refused this sender, this address or this text with 5xx.
    """
    client = _client(settings)
    try:
        with deadline(WHOLE_SECONDS, lambda: client.sock):
            _open(client, settings)
            client.sendmail(sender, [to], mail.as_bytes())
    except smtplib.SMTPRecipientsRefused as error:
        return _refused(*error.recipients[to])
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        return _refused(error.smtp_code, error.smtp_error)
    except smtplib.SMTPResponseException as error:
        # Greeting, HELO or AUTH: it is about the platform, not about this mail.
        return Result("temporary", error.smtp_code, shown(error.smtp_error))
    except ssl.SSLError as error:
        return Result("temporary", answer=f"TLS with {settings.host} failed: {shown(str(error))}")
    except (smtplib.SMTPException, OSError, ValueError) as error:
        words = shown(str(error)) or type(error).__name__
        return Result("temporary", answer=f"{settings.host}:{settings.port}: {words}")
    finally:
        client.close()
    return Result("sent", 250, "accepted")


def _client(settings: MailSettings) -> smtplib.SMTP:
    name = settings.domain or "localhost"
    if settings.security == "tls":
        return smtplib.SMTP_SSL(
            local_hostname=name, timeout=ANSWER_SECONDS, context=_context(settings)
        )
    return smtplib.SMTP(local_hostname=name, timeout=ANSWER_SECONDS)


def _open(client: smtplib.SMTP, settings: MailSettings) -> None:
    # Given to the constructor it would connect there, before the deadline knows the socket;
    # smtplib takes the name to verify from this field.
    client._host = settings.host  # type: ignore[attr-defined]  # noqa: SLF001
    code, answer = client.connect(settings.host, settings.port)
    if code != 220:
        raise smtplib.SMTPConnectError(code, answer)
    client.ehlo_or_helo_if_needed()
    if settings.security == "starttls":
        client.starttls(context=_context(settings))
        client.ehlo()
    if settings.user:
        if settings.security == "none":
            raise ValueError("a password is not sent without TLS: set TLS, or no user")
        client.login(settings.user, settings.password)


def _context(settings: MailSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _refused(code: int, answer: bytes | str) -> Result:
    return Result("permanent" if 500 <= code <= 599 else "temporary", code, shown(answer))
