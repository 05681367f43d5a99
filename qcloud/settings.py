"""Settings, each read from a ``QCLOUD_…`` variable by a typed reader.

Two modes. ``embedded`` is one machine and loopback; the ``qcloud`` command sets everything
from its data folder. ``production`` refuses to start on any default that would be unsafe
there, and says what to set.
"""

from __future__ import annotations

from pathlib import Path

from celery.schedules import crontab

from qcloud.kernel.env import Env, SettingError
from qcloud.kernel.logs import configure_logging
from qcloud.kernel.redis_access import broker_url, present_login, without_password
from qcloud.kernel.secrets import withheld

env = Env()

# First of all: reading a secret may already have something to log.
LOGGING_CONFIG = None
LOG_LEVEL = env.text("QCLOUD_LOG_LEVEL", "INFO").upper()
LOG_FORMAT = env.text("QCLOUD_LOG_FORMAT", "json")
configure_logging(level=LOG_LEVEL, log_format=LOG_FORMAT)

if env.text("QCLOUD_SECRETS_FROM", "environment") != "environment":
    from vaultsvc.vault.secrets import install_source  # its client takes long to import

    install_source(env)
PROCESS = env.text("QCLOUD_PROCESS", "operator")


def _secret(name: str) -> str:
    """Empty where the source does not let this process have it: it has no use for it."""
    return "" if withheld(PROCESS, name) else env.secret(name)


BASE_DIR = Path(__file__).resolve().parent.parent

MODE = env.text("QCLOUD_MODE", "embedded")
if MODE not in {"embedded", "production"}:
    raise SettingError(f"QCLOUD_MODE must be embedded or production, not {MODE!r}")
PRODUCTION = MODE == "production"

DEBUG = env.flag("QCLOUD_DEBUG", default=False)
SECRET_KEY = _secret("QCLOUD_SECRET_KEY")
ALLOWED_HOSTS = list(env.names("QCLOUD_ALLOWED_HOSTS", ("127.0.0.1", "localhost", "[::1]")))
"""Those that the operator names; portal.hosts adds those of the brands."""
CSRF_TRUSTED_ORIGINS = list(env.names("QCLOUD_TRUSTED_ORIGINS"))

ROOT_URLCONF = "qcloud.urls"
WSGI_APPLICATION = "qcloud.wsgi.application"
AUTH_USER_MODEL = "identity.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "qcloud.kernel",
    "audit",
    "vaultsvc",
    "notify",
    "identity",
    "fleet",
    "pulse",
    "billing",
    "portal",
]

MIDDLEWARE = [
    "qcloud.kernel.logs.RequestIdMiddleware",
    "portal.hosts.BrandHostMiddleware",
    "portal.middleware.SecurityHeadersMiddleware",
    "portal.polls.middleware.PollMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "portal.sessions.PortalSessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "identity.sessions.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.messages.context_processors.messages",
                "portal.context.portal",
            ],
        },
    }
]

# --- PostgreSQL. One role for each purpose; only migrations run as the owner of the tables.
DATABASE_ROLE = env.text("QCLOUD_DATABASE_ROLE", "app")
if DATABASE_ROLE not in {"app", "migrator", "readonly"}:
    raise SettingError("QCLOUD_DATABASE_ROLE must be app, migrator or readonly")


def _database_password() -> str:
    """Empty when Vault makes the logins."""
    if env.text("QCLOUD_VAULT_DATABASE_MOUNT", "") and DATABASE_ROLE == "app":
        return ""
    return _secret(f"QCLOUD_DATABASE_{DATABASE_ROLE.upper()}_PASSWORD")


_SSLMODE = env.text("QCLOUD_DATABASE_SSLMODE", "verify-full") if PRODUCTION else "prefer"
DATABASES = {
    "default": {
        "ENGINE": "qcloud.kernel.postgresql",
        "HOST": env.text("QCLOUD_DATABASE_HOST"),
        "PORT": env.integer("QCLOUD_DATABASE_PORT", 5432, low=1, high=65_535),
        "NAME": env.text("QCLOUD_DATABASE_NAME", "qcloud"),
        "USER": f"qcloud_{DATABASE_ROLE}",
        # Asked for at each connection; here only so that a missing one stops the start.
        "PASSWORD": _database_password(),
        "CONN_MAX_AGE": 300,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "application_name": env.text("QCLOUD_PROCESS", "qcloud"),
            "connect_timeout": 5,
            "sslmode": _SSLMODE,
            # A migration that waits for a lock makes everybody behind it wait too, and a
            # statement without bound holds its locks without bound.
            "options": "-c lock_timeout=5s -c statement_timeout=60s"
            " -c idle_in_transaction_session_timeout=120s -c timezone=UTC",
        },
    }
}
# --- Redis: broker, cache, limits.
REDIS_URL = _secret("QCLOUD_REDIS_URL")
"""As it was at start. Connect with ``qcloud.kernel.redis_access.redis_client()``, which has the
present password.
"""
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": without_password(REDIS_URL),
        # A cache that hangs must not hold the threads that answer people.
        "OPTIONS": {
            "socket_timeout": 2,
            "socket_connect_timeout": 2,
            **present_login(REDIS_URL),
        },
    }
}

# --- Celery.
CELERY_BROKER_URL = broker_url(REDIS_URL)
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3_600, "global_keyprefix": "celery:"}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Below the visibility time-out: a task that outlived it would be handed out a second time.
CELERY_TASK_TIME_LIMIT = 3_000
CELERY_TASK_SOFT_TIME_LIMIT = 2_700
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_REDBEAT_REDIS_URL = without_password(REDIS_URL)
CELERY_REDBEAT_REDIS_OPTIONS = present_login(REDIS_URL)
CELERY_BEAT_SCHEDULER = "redbeat.RedBeatScheduler"
# A beat that was killed leaves its lock behind, and until that ends nothing periodic happens:
# by default 25 minutes. The one that runs renews it at every turn.
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_REDBEAT_LOCK_TIMEOUT = 30
CELERY_BEAT_SCHEDULE = {
    "issues": {"task": "pulse.watching.find_issues", "schedule": 60.0},
    "vendors": {"task": "pulse.watching.note_vendors", "schedule": 60.0},
    "alerts": {"task": "pulse.watching.evaluate_alerts", "schedule": 30.0},
    "deliveries": {"task": "notify.tasks.sweep", "schedule": 15.0},
    "deliveries-forget": {"task": "notify.tasks.forget", "schedule": crontab(minute=40)},
    "usage": {"task": "pulse.tasks.recompute_recent_usage", "schedule": 60.0},
    "sign-in-notices": {"task": "identity.tasks.send_notices", "schedule": 10.0},
    "sign-in-sessions": {"task": "identity.tasks.end_sessions", "schedule": 60.0},
    "sign-in-forget": {"task": "identity.tasks.forget", "schedule": crontab(hour=2, minute=20)},
    "key-runs": {"task": "vaultsvc.tasks.carry_on", "schedule": 300.0},
    "rollups": {"task": "pulse.tasks.count_rollups", "schedule": 30.0},
    "rollups-tidy": {"task": "pulse.tasks.tidy_rollups", "schedule": 3_600.0},
    "ledger": {"task": "pulse.tasks.forget_unused_boots", "schedule": crontab(hour=3, minute=50)},
    "retention": {"task": "pulse.retaining.expire", "schedule": 120.0},
    "traffic-exports": {"task": "pulse.retaining.export", "schedule": 5.0},
    "takeouts": {"task": "identity.tasks.pack_takeouts", "schedule": 10.0},
    "erasures": {"task": "identity.tasks.drive_erasures", "schedule": 60.0},
    "erasures-fleet": {"task": "fleet.tasks.erase_accounts", "schedule": 60.0},
    "erasures-pulse": {"task": "pulse.closing.erase_accounts", "schedule": 60.0},
    "erasures-billing": {"task": "billing.tasks.erase_accounts", "schedule": 60.0},
    "billing-drafts": {"task": "billing.tasks.refresh_drafts", "schedule": crontab(minute=5)},
}

# --- The event store, ClickHouse's HTTP interface.
EVENTSTORE_HOST = env.text("QCLOUD_EVENTSTORE_HOST", "127.0.0.1")
EVENTSTORE_PORT = env.integer("QCLOUD_EVENTSTORE_PORT", 8602, low=1, high=65_535)
EVENTSTORE_USER = env.text("QCLOUD_EVENTSTORE_USER", "qcloud")
EVENTSTORE_PASSWORD = _secret("QCLOUD_EVENTSTORE_PASSWORD")
EVENTSTORE_DATABASE = env.text("QCLOUD_EVENTSTORE_DATABASE", "qcloud")
EVENTSTORE_SECURE = env.flag("QCLOUD_EVENTSTORE_SECURE", default=PRODUCTION)
EVENTSTORE_PATH = env.path("QCLOUD_EVENTSTORE_PATH", BASE_DIR / ".data" / "eventstore")
# Bytes of rollups that a process keeps; 0: none.
TILES_MEMORY = env.integer("QCLOUD_TILES_MEMORY", 512 * 1024**2, low=0, high=1024**4)

# --- Ingest.
LEDGER_DAYS = env.integer("QCLOUD_LEDGER_DAYS", 90, low=30, high=3_650)
SPOOL_PATH = env.path("QCLOUD_SPOOL_PATH", BASE_DIR / ".data" / "spool")
INGEST_PUBLIC_URL = env.text("QCLOUD_INGEST_PUBLIC_URL", "http://127.0.0.1:8601")
OBJECTS_PATH = env.path("QCLOUD_OBJECTS_PATH", BASE_DIR / ".data" / "objects")

# What links in mails begin with. No request's header ever decides it.
_OWN_HOST = (ALLOWED_HOSTS or ["localhost"])[0].lstrip(".")
PORTAL_URL = env.text(
    "QCLOUD_PORTAL_URL", f"https://{_OWN_HOST}" if PRODUCTION else "http://127.0.0.1:8600"
).rstrip("/")

# --- Keys: who wraps them, and how long a process believes what it knows of them.
KEY_BACKEND = env.text("QCLOUD_KEY_BACKEND", "vault" if PRODUCTION else "keyring")
if KEY_BACKEND not in {"keyring", "vault"}:
    raise SettingError("QCLOUD_KEY_BACKEND must be keyring or vault")
KEYRING_PATH = env.path("QCLOUD_KEYRING_PATH", BASE_DIR / ".data" / "keys" / "keyring")
KEYRING_SECRET = env.secret("QCLOUD_KEYRING_SECRET", "") or None
KEYRING_REASON = env.text("QCLOUD_KEYRING_IN_PRODUCTION", "")
KEY_ROTATION_DAYS = env.integer("QCLOUD_KEY_ROTATION_DAYS", 90, low=1, high=3_650)
KEY_CACHE_SECONDS = env.integer("QCLOUD_KEY_CACHE_SECONDS", 60, low=1, high=600)

# --- Sessions and cookies.
SESSION_ENGINE = "identity.sessions"
SESSION_COOKIE_AGE = 24 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = PRODUCTION
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = PRODUCTION
CSRF_FAILURE_VIEW = "portal.views.errors.csrf_failure"
# A __Host- cookie needs the Secure flag, and that needs TLS, which loopback does not have.
_COOKIE_PREFIX = "__Host-" if PRODUCTION else ""
SESSION_COOKIE_NAME = f"{_COOKIE_PREFIX}qcloud-session"
CSRF_COOKIE_NAME = f"{_COOKIE_PREFIX}qcloud-csrf"
LOGIN_URL = "/sign-in"
# In production people sign in through the identity provider; with a password only the provider's
# own staff can, and only while an operator holds this door open.
BREAK_GLASS = env.flag("QCLOUD_BREAK_GLASS", default=False)
LOCAL_SIGN_IN = (("admin",) if BREAK_GLASS else ()) if PRODUCTION else ("c", "r", "admin")
# Tells where addresses are, for the access log: MaxMind's format, from the operator.
LOCATION_DATABASE = (
    env.path("QCLOUD_LOCATION_DATABASE") if env.given("QCLOUD_LOCATION_DATABASE") else None
)

AUTHENTICATION_BACKENDS = ["identity.backends.EmailBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "identity.passwords.LongEnough"},
    {"NAME": "identity.passwords.NotCommon"},
    {
        "NAME": "identity.passwords.NotPersonal",
        "OPTIONS": {"user_attributes": ("email", "name")},
    },
]

# --- Static files: built by the front end, served by the web process itself.
STATIC_URL = "/static/"
# Collected for production; elsewhere they are served from where the build put them.
STATIC_ROOT = env.path("QCLOUD_STATIC_ROOT", BASE_DIR / "build" / "static") if PRODUCTION else None
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_MAX_AGE = 31_536_000 if PRODUCTION else 0

# --- Language and time. Inside everything is UTC; pages show the reader's zone.
LANGUAGE_CODE = "en-gb"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"

# --- The edge.
TRUSTED_PROXIES = env.names("QCLOUD_TRUSTED_PROXIES")
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if PRODUCTION:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = env.flag("QCLOUD_SSL_REDIRECT", default=True)
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

SILENCED_SYSTEM_CHECKS: list[str] = []


def _wrong_with_keys() -> list[str]:
    """Said at the start of those that seal and open values, not at the first value."""
    if KEY_BACKEND == "keyring" and len(KEYRING_REASON.strip()) < 10:
        wrong = (
            "QCLOUD_KEY_BACKEND must be vault: a keyring file lies on the machine that it protects."
            " To use one all the same, write the reason into QCLOUD_KEYRING_IN_PRODUCTION"
        )
        return [wrong]
    if KEY_BACKEND == "vault" and PROCESS in {"web", "worker"}:
        from vaultsvc.vault.settings import VaultSettings

        try:
            VaultSettings.from_env(env)
        except SettingError as error:
            return [f"QCLOUD_KEY_BACKEND is vault, and {error}"]
    return []


def _refuse_unsafe_production() -> None:
    """Raises ``SettingError`` listing everything that must be set otherwise."""
    unsafe = []
    if DEBUG:
        unsafe.append("QCLOUD_DEBUG must be off: its error pages show settings and data")
    if len(SECRET_KEY) < 50 and not withheld(PROCESS, "QCLOUD_SECRET_KEY"):
        unsafe.append("QCLOUD_SECRET_KEY must have at least 50 characters")
    if not env.given("QCLOUD_ALLOWED_HOSTS") or "*" in ALLOWED_HOSTS:
        unsafe.append("QCLOUD_ALLOWED_HOSTS must list the portal's host names, without *")
    if not EVENTSTORE_SECURE and EVENTSTORE_HOST not in {"127.0.0.1", "localhost", "::1"}:
        unsafe.append("QCLOUD_EVENTSTORE_SECURE must be on for an event store elsewhere")
    if _SSLMODE not in {"verify-full", "verify-ca"}:
        unsafe.append("QCLOUD_DATABASE_SSLMODE must be verify-full or verify-ca")
    if not REDIS_URL.startswith(("rediss://", "unix://")) and not withheld(
        PROCESS, "QCLOUD_REDIS_URL"
    ):
        unsafe.append("QCLOUD_REDIS_URL must use rediss:// (TLS) or a socket")
    unsafe += [
        f"{name} must begin with https://: {why}"
        for name, url, why in (
            ("QCLOUD_PORTAL_URL", PORTAL_URL, "mails lead people there"),
            ("QCLOUD_INGEST_PUBLIC_URL", INGEST_PUBLIC_URL, "agents send tokens"),
        )
        if not url.startswith("https://")
    ]
    unsafe += _wrong_with_keys()
    if unsafe:
        raise SettingError("unsafe production settings:\n  " + "\n  ".join(unsafe))


if PRODUCTION:
    _refuse_unsafe_production()
