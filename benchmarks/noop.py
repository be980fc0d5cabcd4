"""Settings and addresses of the product's web server with one view more, which does nothing.

The single-event figure is measured against it: the same server, the same middleware, no work.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def noop(request: HttpRequest) -> HttpResponse:
    """202 for whatever was sent."""
    return HttpResponse(b"{}", status=202, content_type="application/json")


urlpatterns = [path("noop", noop), path("", include("config.urls"))]
