"""Every address of the server."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("automation.api.urls")),
]

handler400 = "automation.api.problems.bad_request"
handler404 = "automation.api.problems.not_found"
handler500 = "automation.api.problems.server_error"
