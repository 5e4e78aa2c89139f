"""sinks/rabbitmq_settings.py: what is said of a RabbitMQ sink that cannot work."""

import pytest
from config_examples import SECRET, parsed, problems

SINK = '[sinks.bus]\ntype = "rabbitmq"\nusername = "ann"\n'


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('url = "http://mq.example.com"', 'url: should be an address such as "amqps://rabbitmq.example.com/vhost"'),
        ('url = "amqp:///crm"', "url: should be an address such as"),
        (f'url = "amqps://ann:{SECRET}@mq.example.com"', "url: should hold no user name or password; there are keys"),
        ('url = "amqps://mq.example.com/crm?no_verify_ssl=1"', "url: should end with the virtual host"),
        ('url = "amqps://mq.example.com"\nexchange = "a b"', "exchange: holds ' '; an exchange is named with letters"),
        ('url = "amqps://mq.example.com"\nexchange = ""', "exchange: should not be empty"),
        (
            'url = "amqps://mq.example.com"\nrouting_key = "{id}"',
            "routing_key: {id} is not known here; there are {org}",
        ),
        (
            f'url = "amqps://mq.example.com"\nrouting_key = "{"k" * 256}"',
            "routing_key: should be no longer than 255 by",
        ),
        (
            'url = "amqps://mq.example.com"\nca = "/nowhere/ca.pem"',
            "cannot read /nowhere/ca.pem: No such file or directory",
        ),
    ],
)
def test_what_cannot_work_is_said_at_once(lines: str, problem: str) -> None:
    """In one line, with its place and what to do."""
    [told] = problems(f'{SINK}password = "{SECRET}"\n{lines}')
    assert "sinks.bus" in told
    assert problem in told


def test_a_password_is_needed_and_not_shown() -> None:
    """The broker's own guest works from its own machine only, so there is no default."""
    [told] = problems(f'{SINK}url = "amqps://mq.example.com"')
    assert "sinks.bus.password: is missing" in told
    assert SECRET not in repr(parsed(f'{SINK}url = "amqps://mq.example.com"\npassword = "{SECRET}"'))
