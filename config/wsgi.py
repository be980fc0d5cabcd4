"""The WSGI application that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

from automation import garbage

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
garbage.calm(young=2_000)
