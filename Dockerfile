# One image for every part; docker-compose.yml says which part a container is.
# What it needs to run stands in requirements-run.lock: no test tools, no compiler, no pip of its own.
FROM python:3.12-slim AS build

WORKDIR /build
COPY requirements-run.lock requirements-build.lock requirements-htmx.lock ./
RUN python -m venv --without-pip /opt/sailpipe \
    && python -m pip --python /opt/sailpipe install --no-cache-dir --disable-pip-version-check --no-compile \
        --require-hashes -r requirements-run.lock \
    && python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-build.lock \
    && python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps \
        -r requirements-htmx.lock
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY pipeline pipeline
COPY workers workers
RUN python -m pip wheel --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation -w /build/wheels . \
    && python -m pip --python /opt/sailpipe install --no-cache-dir --disable-pip-version-check --no-compile \
        --no-deps --no-index /build/wheels/*.whl \
    && /opt/sailpipe/bin/python -m compileall -q -j 0 /opt/sailpipe/lib

FROM python:3.12-slim

LABEL org.opencontainers.image.title="sailpipe" \
      org.opencontainers.image.description="Self-hosted delivery of customer events to Sailthru" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"

COPY --from=build /opt/sailpipe /opt/sailpipe
ENV PATH=/opt/sailpipe/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

# sailpipe.toml is looked for here. Nothing is written but to /tmp, so the rest may be read-only.
WORKDIR /etc/sailpipe
USER 10001:10001

# The parts give signs of life in Redis; of an HTTP server /readyz is asked as well.
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s --retries=3 CMD ["sailpipe", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["sailpipe"]
CMD ["--help"]
