"""Measurements, run by ``make bench``. Each prints a ratio to a limit that was measured in the same run."""
