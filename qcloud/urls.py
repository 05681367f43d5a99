"""Every door of the web process."""

from django.urls import include, path

urlpatterns = [
    path("", include("portal.urls")),
]

handler400 = "portal.views.errors.bad_request"
handler404 = "portal.views.errors.not_found"
handler500 = "portal.views.errors.server_error"
