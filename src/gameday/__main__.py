"""Entry point of the `gameday` command and of `python -m gameday`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; what gameday raises on purpose becomes a message and its exit code."""
    from gameday.cli import app
    from gameday.errors import GamedayError

    try:
        app()
    except GamedayError as error:
        print(f"gameday: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone (`gameday history | head`)
        sys.exit(0)


if __name__ == "__main__":
    main()
