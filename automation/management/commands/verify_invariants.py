"""Prove in SQL that the promises hold: exit code 1 when one does not."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from automation import invariants


class Command(BaseCommand):
    help = "Prove in SQL that nothing was lost or sent twice and that the caps hold. Exit code 1 on a breach."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="Machine-readable output.")
        parser.add_argument(
            "--grace", type=float, default=invariants.GRACE_SECONDS, help="Seconds by which work may be late."
        )

    def handle(self, *args: Any, as_json: bool, grace: float, **options: Any) -> None:
        proofs = invariants.verify(grace=grace)
        broken = [proof for proof in proofs if proof.breaches]
        if as_json:
            self.stdout.write(json.dumps({"ok": not broken, "proofs": [asdict(proof) for proof in proofs]}))
        else:
            width = max(len(proof.name) for proof in proofs)
            self.stdout.write(f"{'invariant':<{width + 2}}{'checked':>12}{'breaches':>10}{'ms':>9}")
            for proof in proofs:
                sign = "✗" if proof.breaches else "✓"
                self.stdout.write(
                    f"{sign} {proof.name:<{width}}{proof.checked:>12,}{proof.breaches:>10,}{proof.ms:>9,.1f}"
                )
                if proof.breaches:
                    self.stdout.write(f"    {proof.promise} Not so for: {', '.join(proof.samples)}")
        if broken:
            names = ", ".join(proof.name for proof in broken)
            raise CommandError(f"{len(broken)} of {len(proofs)} promises do not hold: {names}", returncode=1)
