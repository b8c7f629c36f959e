"""``python -m releve`` is ``releve``."""

from releve.api.cli import main

main()
