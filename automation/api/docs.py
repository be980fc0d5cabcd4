"""The OpenAPI document, and a page of it for people that needs no script."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

from automation.api import limits
from automation.api.problems import KINDS, not_found


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document; it does not change while a process lives."""
    return SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call,no-any-return]


@cache
def openapi_bytes() -> bytes:
    """The same as it is sent."""
    return msgspec.json.encode(document())


@csrf_exempt
@require_safe
def openapi(request: HttpRequest) -> HttpResponse:
    """For programs."""
    return HttpResponse(openapi_bytes(), content_type="application/vnd.oai.openapi+json")


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """For people."""
    context = {
        "operations": [_operation(path, method, operation) for path, method, operation in operations()],
        "problems": [{"name": name, **kind._asdict()} for name, kind in KINDS.items()],
        "limits": limits,
        "url": settings.PUBLIC_URL,
    }
    return render(request, "automation/api_docs.html", context)


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of everything in the document, the events first."""
    found = [
        (path, method, op) for path, methods in document()["paths"].items() for method, op in methods.items()
    ]
    return sorted(found, key=lambda entry: (entry[2]["tags"], entry[1] != "post"))


def _operation(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return {
        "id": operation["operationId"],
        "path": path,
        "method": method.upper(),
        "summary": operation.get("summary", ""),
        "description": operation.get("description", ""),
        "tag": operation["tags"][0],
        "samples": [
            {"name": name, "curl": curl(f"{settings.PUBLIC_URL}{path}", example["value"])}
            for name, example in content.get("examples", {}).items()
        ],
        "answers": sorted(
            (code, ", ".join(answer.get("content", {})), answer.get("description", ""))
            for code, answer in operation["responses"].items()
        ),
    }


def curl(url: str, body: Any) -> str:
    """A command for a terminal that sends `body`."""
    text = json.dumps(body, indent=2).replace("'", "'\\''")
    return (
        f"curl -X POST {url} \\\n  -H 'Authorization: Bearer YOUR_KEY' \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d '{text}'"
    )


@csrf_exempt
def unknown(request: HttpRequest) -> HttpResponse:
    """Any other address under /api/ and /v1/: a problem document, also in developer mode."""
    return not_found(request)
