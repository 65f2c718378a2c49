"""``python -m modeseek.cli`` is ``modeseek``."""

from modeseek.cli import main

main()
