"""opening.py: what must be there before anything works."""

import resource

from salesforce_poller import opening


def test_a_process_may_have_more_files_open_than_the_usual_thousand() -> None:
    """A thousand orgs have a connection each; the system's own bound is kept."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        opening.allow_many_files()
        allowed, still = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert still == hard
        assert allowed == (65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536))
        opening.allow_many_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (allowed, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
