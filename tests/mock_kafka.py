"""A Kafka cluster on this machine: librdkafka's own mock brokers, reached through ctypes in confluent-kafka's library.

They speak the real protocol to any client, keep what they are sent in memory, and fail as they are told. There are no
accounts, no access rules, no TLS, and nothing survives the process; so a broker here goes down and comes back with what
it had, which is what a restart of a real one looks like. Called by ``contracts/test_kafka_sink.py``.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

#: The number of a ProduceRequest in Kafka's protocol.
PRODUCE = 0
#: And of a MetadataRequest.
METADATA = 3
_PRODUCER = 0
#: Seconds until reading back gives up.
_PATIENCE = 10.0


def _library() -> ctypes.CDLL:
    """Load the librdkafka that confluent-kafka brings, which is in this process already."""
    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    [path] = folder.glob("librdkafka-*")
    library = ctypes.CDLL(str(path))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    library.rd_kafka_conf_new.restype = pointer
    library.rd_kafka_conf_set.argtypes = [pointer, text, text, text, ctypes.c_size_t]
    library.rd_kafka_new.restype = pointer
    library.rd_kafka_new.argtypes = [number, pointer, text, ctypes.c_size_t]
    library.rd_kafka_destroy.argtypes = [pointer]
    library.rd_kafka_mock_cluster_new.restype = pointer
    library.rd_kafka_mock_cluster_new.argtypes = [pointer, number]
    library.rd_kafka_mock_cluster_destroy.argtypes = [pointer]
    library.rd_kafka_mock_cluster_bootstraps.restype = text
    library.rd_kafka_mock_cluster_bootstraps.argtypes = [pointer]
    library.rd_kafka_mock_topic_create.argtypes = [pointer, text, number, number]
    library.rd_kafka_mock_topic_set_error.argtypes = [pointer, text, number]
    library.rd_kafka_mock_broker_set_down.argtypes = [pointer, ctypes.c_int32]
    library.rd_kafka_mock_broker_set_up.argtypes = [pointer, ctypes.c_int32]
    library.rd_kafka_mock_broker_set_rtt.argtypes = [pointer, ctypes.c_int32, number]
    library.rd_kafka_mock_broker_set_host_port.argtypes = [pointer, ctypes.c_int32, text, number]
    library.rd_kafka_mock_push_request_errors_array.argtypes = [
        pointer, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(number),
    ]  # fmt: skip
    return library


class MockKafka:
    """``with MockKafka() as kafka``: a cluster until the end of the block."""

    def __init__(self, brokers: int = 3) -> None:
        self._brokers = brokers
        self._library = _library()
        #: Where clients begin: ``host:port,…``.
        self.servers = ""
        self._sent_to = 0

    def __enter__(self) -> Self:
        trouble = ctypes.create_string_buffer(512)
        library = self._library
        settings = library.rd_kafka_conf_new()
        library.rd_kafka_conf_set(settings, b"log_level", b"0", None, 0)
        self._handle = library.rd_kafka_new(_PRODUCER, settings, trouble, len(trouble))
        assert self._handle, trouble.value
        self._cluster = library.rd_kafka_mock_cluster_new(self._handle, self._brokers)
        assert self._cluster
        self.servers = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)

    @property
    def port(self) -> int:
        """Of the only broker."""
        assert self._brokers == 1
        return int(self.servers.rpartition(":")[2])

    def create(self, topic: str, partitions: int = 4, replicas: int | None = None) -> None:
        """Make a topic; on all brokers unless ``replicas`` says otherwise."""
        name = topic.encode()
        assert not self._library.rd_kafka_mock_topic_create(self._cluster, name, partitions, replicas or self._brokers)

    def refuse(self, topic: str, error: int | None) -> None:
        """Have whoever asks about a topic be told an error; None: no more of it."""
        self._library.rd_kafka_mock_topic_set_error(self._cluster, topic.encode(), error or 0)

    def answer(self, *errors: int, to: int = PRODUCE) -> None:
        """Have the next requests of a kind be answered with these errors, one each; 0 is none."""
        array = (ctypes.c_int * len(errors))(*errors)
        self._library.rd_kafka_mock_push_request_errors_array(self._cluster, to, len(errors), array)

    def kill(self) -> None:
        """Disconnect everybody and let nobody in."""
        assert not self._library.rd_kafka_mock_broker_set_down(self._cluster, -1)

    def start(self) -> None:
        """Be there again, on the same ports and with what was there before."""
        assert not self._library.rd_kafka_mock_broker_set_up(self._cluster, -1)

    def slow_down(self, seconds: float) -> None:
        """Answer everything so much later."""
        assert not self._library.rd_kafka_mock_broker_set_rtt(self._cluster, -1, int(seconds * 1000))

    def advertise(self, port: int) -> None:
        """Have the only broker send its clients to another port of this machine, such as a proxy's."""
        self._sent_to = port
        self._tell(port)

    def _tell(self, port: int) -> None:
        assert not self._library.rd_kafka_mock_broker_set_host_port(self._cluster, 1, b"127.0.0.1", port)

    def messages(self, topic: str) -> list[Message]:
        """Return all that a topic holds, in the order in which it was produced; within a partition, of its log.

        It asks the brokers themselves, and not by way of a proxy.
        """
        if self._sent_to:
            self._tell(self.port)
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "tests", "enable.auto.commit": False})
        try:
            found = consumer.list_topics(topic, timeout=_PATIENCE).topics[topic]
            parts = [TopicPartition(topic, number, 0) for number in found.partitions]
            ends = [consumer.get_watermark_offsets(part, timeout=_PATIENCE)[1] for part in parts]
            consumer.assign(parts)
            read = _read(consumer, sum(ends))
        finally:
            consumer.close()
            if self._sent_to:
                self._tell(self._sent_to)
        return sorted(read, key=lambda one: (one.timestamp()[1], one.partition() or 0, one.offset() or 0))


def headers(message: Message) -> dict[str, bytes]:
    """Return the headers of a message by name."""
    found = message.headers() or []
    pairs = found.items() if isinstance(found, dict) else found
    return {name: value if isinstance(value, bytes) else str(value).encode() for name, value in pairs}


def _read(consumer: Consumer, count: int) -> Sequence[Message]:
    """Read so many messages."""
    read: list[Message] = []
    while len(read) < count:
        some = consumer.consume(count - len(read), timeout=_PATIENCE)
        assert some, f"{count} messages are there, {len(read)} came"
        for message in some:
            error: KafkaError | None = message.error()
            if error is not None:
                raise KafkaException(error)
        read += some
    return read
