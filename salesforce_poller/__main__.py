"""Lets ``python -m salesforce_poller`` open the front door, which is ``cli.py``."""

from salesforce_poller.cli import main

if __name__ == "__main__":
    main()
