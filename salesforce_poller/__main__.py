"""The way to the front door, which is ``cli.py``, for ``python -m salesforce_poller`` and for the command alike."""

import gc
import signal
import sys

from salesforce_poller import lean


def main() -> None:
    """Open the front door; on the way there the daemon is not ended by SIGHUP.

    The signal says that the configuration has changed; none of it was read yet, so that there is nothing to do.
    """
    if sys.argv[1:2] == ["run"] and hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    lean.import_libraries()
    gc.disable()  # of what is imported nothing goes away again: looking through all of it takes a tenth of the time
    from salesforce_poller import cli  # noqa: PLC0415  # takes a while, in which the signal would end the program

    gc.freeze()
    gc.enable()
    cli.main()


if __name__ == "__main__":
    main()
