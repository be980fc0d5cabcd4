"""Every setting of Beckon. Values come from the environment only (and from a `.env` beside manage.py).

Each variable is declared once, with its default and one sentence of help; `.env.example` and
docs/reference/settings.md are generated from these declarations (`manage.py settings_reference`).
"""

from __future__ import annotations

from datetime import time, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from config.embedded import broker_url, paths

VERSION = "0.1.0"
BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")


class Declared(NamedTuple):
    """One environment variable."""

    name: str
    default: Any
    help: str
    is_secret: bool


DECLARED: list[Declared] = []


def declare(name: str, default: Any, help: str, *, is_secret: bool = False) -> Any:
    """Read `name` from the environment, cast to the type of `default`."""
    DECLARED.append(Declared(name, default, help, is_secret))
    return env.get_value(name, cast=type(default), default=default)


# --- The basics
DEBUG = declare("DEBUG", False, "Developer mode: error pages with details. Never in production.")
HOME = Path(declare("BECKON_HOME", ".beckon", "Folder of the embedded servers and their data."))
EMBEDDED = paths(HOME if HOME.is_absolute() else BASE_DIR / HOME)
DATABASE_URL = declare(
    "DATABASE_URL", "", "postgres://… of the database; empty: the embedded PostgreSQL.", is_secret=True
)
REDIS_URL = declare("REDIS_URL", "", "redis://… of the broker; empty: the embedded Redis.", is_secret=True)
PUBLIC_URL = declare("PUBLIC_URL", "http://127.0.0.1:8000", "Address customers reach this server by.").rstrip(
    "/"
)
ALLOWED_HOSTS = declare(
    "ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]"], "Host names this server answers to."
)
CSRF_TRUSTED_ORIGINS = declare(
    "CSRF_TRUSTED_ORIGINS", list[str](), "Origins (with scheme) that may post forms, behind a proxy."
)
_secret = declare("SECRET_KEY", "", "Signs sessions and links; 50 or more random characters.", is_secret=True)
SECRET_KEY_FALLBACKS = declare(
    "SECRET_KEY_FALLBACKS", list[str](), "Former SECRET_KEYs whose links still work.", is_secret=True
)
if not _secret and EMBEDDED.secret_key.exists():
    _secret = EMBEDDED.secret_key.read_text().strip()
if not _secret and (DATABASE_URL and not DEBUG):
    raise ImproperlyConfigured(
        "SECRET_KEY is not set. Put 50 or more random characters into the environment: "
        'python -c "import secrets; print(secrets.token_urlsafe(50))"'
    )
SECRET_KEY = _secret or "insecure-until-the-supervisor-has-written-one"

INSTALLED_APPS = [
    "analytics",
    "automation",
    "profiles",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "django_celery_beat",
    "axes",
    "csp",
    "corsheaders",
]
MIDDLEWARE = [
    "automation.request_id.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "automation.response_headers.ResponseHeadersMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "automation.viewer_zone.ViewerZoneMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",  # Last: it replaces the log-in page's answer by the lock-out page.
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Database and broker (reliability.md section 3.3)
DATABASES = {"default": environ.Env.db_url_config(DATABASE_URL or EMBEDDED.database_url)}
DATABASES["default"].update(
    CONN_MAX_AGE=None,
    CONN_HEALTH_CHECKS=True,
    OPTIONS={
        **DATABASES["default"].get("OPTIONS", {}),
        "connect_timeout": 3,
        "options": "-c lock_timeout=5s -c statement_timeout=30s -c idle_in_transaction_session_timeout=60s"
        " -c jit=off",
    },
)
REDIS_CLIENT_URL = REDIS_URL or EMBEDDED.redis_url
BROKER_URL = broker_url(REDIS_CLIENT_URL)
REDIS_PREFIX = declare("REDIS_PREFIX", "beckon:", "Prefix of every key Beckon writes to Redis.")
CELERY_BROKER_URL = BROKER_URL
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    "queue_order_strategy": "round_robin",  # Each bell is heard in turn; a drain serves higher lanes first.
    "global_keyprefix": REDIS_PREFIX,
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 25,
    "retry_on_timeout": True,
}

# --- Log-in, cookies, transport
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # First: whoever is locked out is not even asked for a password.
    "django.contrib.auth.backends.ModelBackend",
]
ALLOW_SELF_PUBLISH = declare(
    "BECKON_ALLOW_SELF_PUBLISH",
    False,
    "Whoever may publish triggers may publish changes of their own; off: a second person does.",
)
TRUSTED_PROXIES = declare(
    "BECKON_TRUSTED_PROXIES",
    0,
    "Proxies in front of this server that append to X-Forwarded-For; 0: the header is not believed.",
)
# Five wrong passwords for one name from one address close both together for a quarter of an hour.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # Trying on does not push the end away.
AXES_HANDLER = "axes.handlers.database.AxesDatabaseHandler"  # Works without Redis.
AXES_CLIENT_IP_CALLABLE = "automation.lockout.counted_address"
AXES_LOCKOUT_CALLABLE = "automation.lockout.respond"
AXES_VERBOSE = False
_IS_HTTPS = PUBLIC_URL.startswith("https://")
# Browsers keep a cookie with this prefix only if it is Secure, of this very host and of the whole path.
_COOKIE_PREFIX = "__Host-" if _IS_HTTPS else ""
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"{_COOKIE_PREFIX}sessionid", f"{_COOKIE_PREFIX}csrftoken"
SESSION_COOKIE_AGE = 8 * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _IS_HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = _IS_HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _IS_HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if _IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _IS_HTTPS
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- Language, time, static files
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "config.formats"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576

# --- Mail
EMAIL_URL = declare(
    "EMAIL_URL", "", "smtp://user:password@host:port; empty: the local mailbox.", is_secret=True
)
vars().update(environ.Env.email_url_config(EMAIL_URL or "smtp://127.0.0.1:1025"))
LOCAL_MAILBOX = declare(
    "BECKON_LOCAL_MAILBOX",
    False,
    "EMAIL_URL is the local mailbox, which delivers nothing; up and demo set it.",
)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = declare("DEFAULT_FROM_EMAIL", "Beckon <hello@example.com>", "Sender of every e-mail.")
MESSAGE_ID_DOMAIN = declare("MESSAGE_ID_DOMAIN", "beckon.local", "Domain in the Message-ID of every e-mail.")

# --- HTTP API
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["automation.api.keys.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "automation.api.problems.answer",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Beckon",
    "DESCRIPTION": "Send what your customers do; Beckon decides, answers and explains.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
}

# --- Browsers of other origins may send to the collecting addresses, and see nothing else
CORS_URLS_REGEX = r"^/v1/"
CORS_ORIGINS = declare(
    "BECKON_CORS_ORIGINS",
    ["*"],
    "Origins whose pages may send to /v1/; *: any, the key says who; empty: none. No other address has CORS.",
)
CORS_ALLOW_ALL_ORIGINS = "*" in CORS_ORIGINS
CORS_ALLOWED_ORIGINS = [] if CORS_ALLOW_ALL_ORIGINS else CORS_ORIGINS
CORS_ALLOW_CREDENTIALS = False  # No cookie is ever looked at there.
CORS_ALLOW_METHODS = ["GET", "POST", "OPTIONS"]
CORS_ALLOW_HEADERS = ["authorization", "content-type", "content-encoding", "x-api-key"]
CORS_EXPOSE_HEADERS = ["X-Request-Id", "Retry-After"]
CORS_PREFLIGHT_MAX_AGE = 86_400

# --- What the engine does
LATE_AFTER_DAYS = declare("BECKON_LATE_AFTER_DAYS", 7, "Older events are stored but fire no trigger.")
RETENTION_MONTHS = declare("BECKON_RETENTION_MONTHS", 13, "Whole months of events and executions kept.")
EMAIL_CAP = declare("BECKON_EMAIL_CAP", 1, "Marketing e-mails per customer in one cap window.")
EMAIL_CAP_HOURS = declare("BECKON_EMAIL_CAP_HOURS", 24.0, "Length of the cap window in hours.")
EMAIL_CAP_BY_DAY = declare(
    "BECKON_EMAIL_CAP_BY_DAY", False, "Count the cap per calendar day of the customer instead of rolling."
)
CONSENT_OPT_IN = declare(
    "BECKON_CONSENT_OPT_IN", True, "Marketing needs a recorded consent; off: only a refusal stops it."
)
QUIET_START = declare("BECKON_QUIET_START", "21:00", "Quiet hours begin (customer's time, marketing only).")
QUIET_END = declare("BECKON_QUIET_END", "08:00", "Quiet hours end; the same time as the start: none.")
QUIET_HOURS = (time.fromisoformat(QUIET_START), time.fromisoformat(QUIET_END))
DEFAULT_TIME_ZONE = declare(
    "BECKON_TIME_ZONE", "UTC", "Zone of the admin's pages, and of customers whose own is not known."
)
BEST_HOUR = declare(
    "BECKON_BEST_HOUR", 10, "Hour of the customer's day for `optimal_personal` without a known one."
)
HOLDOUT_PERCENT = declare(
    "BECKON_HOLDOUT_PERCENT", 5.0, "Share of customers a marketing trigger never mails."
)
GLOBAL_HOLDOUT_PERCENT = declare(
    "BECKON_GLOBAL_HOLDOUT_PERCENT", 0.0, "Share of customers no marketing trigger ever mails."
)
LOW_ENGAGEMENT = declare("BECKON_LOW_ENGAGEMENT", 0.2, "Engagement score below which marketing is held back.")
LOW_ENGAGEMENT_EVIDENCE = declare(
    "BECKON_LOW_ENGAGEMENT_EVIDENCE", 5, "Messages a customer must have received before that rule applies."
)
WEBHOOK_SECRET_VARIABLE = "BECKON_WEBHOOK_SECRET"  # noqa: S105 - the name of the variable
WEBHOOK_SECRET = declare(
    WEBHOOK_SECRET_VARIABLE, "", "whsec_… key that signs outgoing webhooks.", is_secret=True
)
WEBHOOK_ALLOW_LOOPBACK = declare(
    "BECKON_WEBHOOK_ALLOW_LOOPBACK", False, "Let webhooks reach this machine; development only."
)
WEBHOOK_PORTS = [
    int(port) for port in declare("BECKON_WEBHOOK_PORTS", ["80", "443"], "Ports webhooks may call.")
]
METRICS_TOKEN = declare(
    "BECKON_METRICS_TOKEN", "", "Bearer token of /metrics; empty: open to this machine only.", is_secret=True
)
KEY_RATE = declare("BECKON_KEY_RATE", 2_000.0, "Requests a second that one key may make for long.")
KEY_BURST = declare("BECKON_KEY_BURST", 4_000.0, "Requests that one key may make at once.")
IP_RATE = declare("BECKON_IP_RATE", 4_000.0, "Requests a second from one address; shops share a proxy.")
IP_BURST = declare("BECKON_IP_BURST", 8_000.0, "Requests that one address may make at once.")
EXPORT_ROWS = declare("BECKON_EXPORT_ROWS", 100_000, "Rows after which a CSV export is cut.")

# --- How the workers run (reliability.md section 3)
LEASE_SECONDS = declare("BECKON_LEASE_SECONDS", 120, "How long a claimed delivery belongs to its worker.")
SWEEP_SECONDS = declare("BECKON_SWEEP_SECONDS", 10, "How often forgotten work is looked for.")
DRAIN_SECONDS = declare("BECKON_DRAIN_SECONDS", 2.0, "How long one task works before it lets others in.")
LANE_SHARERS = declare("BECKON_LANE_SHARERS", 2, "Worker processes that share a lane; each takes its part.")
DATA_FAILURE_BUDGET = declare(
    "BECKON_DATA_FAILURE_BUDGET", 5, "Failures after which an event is quarantined."
)
WORKER_DEATH_BUDGET = declare("BECKON_WORKER_DEATH_BUDGET", 2, "Killed workers after which an event is.")
BROKEN_LIMIT = declare("BECKON_BROKEN_LIMIT", 100, "Uncheckable events in an hour that pause a trigger.")
PENDING_LIMIT = declare(
    "BECKON_PENDING_LIMIT", 2_000_000, "Undecided events above which ingestion answers 503."
)
STALL_SECONDS = declare(
    "BECKON_STALL_SECONDS", 60, "A worker that starts no task so long though bells wait ends itself."
)
FAULT = declare("BECKON_FAULT", "", "Armed fault points, for tests only; refused by check --deploy.")
SEED = declare("BECKON_SEED", "", "Fixes the draws of armed fault points; for tests only.")
LOG_FORMAT = declare("BECKON_LOG_FORMAT", "json", "json or text.")
LOG_LEVEL = declare("BECKON_LOG_LEVEL", "INFO", "Least severe level that is logged.")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "config.logging.JsonFormatter"},
        "text": {"()": "config.logging.TextFormatter", "fmt": "%(levelname)s %(message)s"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": LOG_FORMAT if LOG_FORMAT in ("json", "text") else "json",
        }
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django.server": {"handlers": ["stderr"], "propagate": False},
        "axes": {"level": "WARNING"},  # Else every command begins with its version.
        "mail.log": {"level": "WARNING"},  # aiosmtpd tells of every command, with the addresses.
    },
}
