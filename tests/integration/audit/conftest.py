"""Members of staff, as the tests of the admin sign them in."""

from tests.integration.admin.conftest import SignIn, root, sign_in, static_root

__all__ = ["SignIn", "root", "sign_in", "static_root"]
