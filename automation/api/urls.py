"""Addresses of the HTTP API."""

from __future__ import annotations

from django.urls import URLPattern, path, re_path

from automation.api.decisions import DecisionView
from automation.api.docs import docs, openapi, unknown
from automation.api.events import EventsView
from automation.api.feedback import FeedbackView
from automation.api.health import healthz, metrics, readyz
from automation.api.privacy import EraseView, ExportView
from automation.api.tracking import addresses
from automation.api.unsubscribe import unsubscribe

urlpatterns: list[URLPattern] = [
    # With and without the slash: a redirect would turn a POST into a GET.
    re_path(r"^api/v1/events/?$", EventsView.as_view(), name="events"),
    re_path(r"^api/v1/events/(?P<event_id>[0-9]{1,19})/?$", DecisionView.as_view(), name="decision"),
    re_path(r"^api/v1/privacy/export/?$", ExportView.as_view(), name="privacy-export"),
    re_path(r"^api/v1/privacy/erase/?$", EraseView.as_view(), name="privacy-erase"),
    re_path(
        r"^api/v1/deliveries/(?P<delivery_id>[0-9a-f-]{36})/feedback/?$",
        FeedbackView.as_view(),
        name="delivery-feedback",
    ),
    path("api/v1/openapi.json", openapi, name="openapi"),
    path("api/docs/", docs, name="api-docs"),
    *addresses,
    path("unsubscribe/<str:token>/", unsubscribe, name="unsubscribe"),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    re_path(r"^(?:api|v1)/", unknown),
]
