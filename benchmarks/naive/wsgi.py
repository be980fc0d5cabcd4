"""What gunicorn runs."""

import os

from django.core.wsgi import get_wsgi_application

from benchmarks.naive.celery import app as celery_app

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.naive.settings")
application = get_wsgi_application()
celery_app.set_default()
