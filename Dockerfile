# Three stages: make the wheel, install it with what it needs at run time and nothing else, and copy the result.
# Every package is checked against a hash; see `make lock`.
#
#   docker build --tag salesforce-poller .
#   docker run --rm --tty salesforce-poller demo

FROM python:3.13-slim AS wheel
WORKDIR /src
COPY requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY salesforce_poller salesforce_poller
RUN pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /wheel .

FROM python:3.13-slim AS installed
COPY requirements-runtime.lock ./
# A virtual environment without pip of its own: the image's pip fills it from outside.
RUN python -m venv --without-pip /opt/salesforce-poller \
    && pip --python /opt/salesforce-poller/bin/python install --no-cache-dir --disable-pip-version-check \
        --require-hashes --requirement requirements-runtime.lock
COPY --from=wheel /wheel /wheel
RUN pip --python /opt/salesforce-poller/bin/python install --no-cache-dir --disable-pip-version-check \
        --no-deps --no-index /wheel/*.whl

FROM python:3.13-slim
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /data poller \
    && install --directory --owner poller --group poller /data
COPY --from=installed /opt/salesforce-poller /opt/salesforce-poller
# The second one lets `docker exec NAME salesforce-poller status` find the configuration by itself. The third one has all
# threads take memory from one place, since what one of them gave back is of no use to another: 5 to 9 MB of 130. The last
# two have large buffers (a page of an answer, and what it is read with) lie apart and given back at once: among the small
# things they leave holes that only small things fill, and take new room for each page: 10 MB.
ENV PATH="/opt/salesforce-poller/bin:$PATH" \
    SALESFORCE_POLLER_CONFIG=/etc/salesforce-poller/config.toml \
    MALLOC_ARENA_MAX=1 \
    MALLOC_MMAP_THRESHOLD_=1048576 \
    MALLOC_TRIM_THRESHOLD_=16777216
USER poller
# The working directory, so that the default store, sqlite:///salesforce-poller.db, lands in the volume.
WORKDIR /data
VOLUME ["/data"]
# The default address of [http]; a configuration with another port needs another --health-cmd.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["salesforce-poller"]
CMD ["run", "--config", "/etc/salesforce-poller/config.toml"]
