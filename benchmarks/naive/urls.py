"""The naive peer's addresses."""

from django.http import HttpResponse
from django.urls import path

from benchmarks.naive.views import EventCreate

urlpatterns = [
    path("events/", EventCreate.as_view()),
    path("healthz", lambda request: HttpResponse("ok")),
]
