"""Addresses of the HTTP API."""

from __future__ import annotations

from django.urls import URLPattern, path

from automation.api.unsubscribe import unsubscribe

urlpatterns: list[URLPattern] = [
    path("unsubscribe/<str:token>/", unsubscribe, name="unsubscribe"),
]
