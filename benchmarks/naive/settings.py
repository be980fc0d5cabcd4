"""Settings of the naive peer: the same PostgreSQL and Redis, DEBUG off, persistent connections."""

from __future__ import annotations

import environ

env = environ.Env()
SECRET_KEY = "only-for-the-benchmark"  # noqa: S105
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["rest_framework", "benchmarks.naive.apps.NaiveConfig"]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "benchmarks.naive.urls"
WSGI_APPLICATION = "benchmarks.naive.wsgi.application"
DATABASES = {"default": {**env.db_url("NAIVE_DATABASE_URL"), "CONN_MAX_AGE": None}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
DEFAULT_FROM_EMAIL = "shop@example.com"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "UNAUTHENTICATED_USER": None,
}
CELERY_BROKER_URL = env.str("NAIVE_BROKER_URL")
CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": "beckon-bench-naive:"}
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 4
