"""The same members of staff as on the admin's pages."""

from tests.integration.admin.conftest import root, sign_in, static_root

__all__ = ["root", "sign_in", "static_root"]
