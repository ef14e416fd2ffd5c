# One image for every part; docker-compose.yml says which part a container is.
FROM python:3.12-slim

WORKDIR /app
# The lock holds the test tools too, for one set of pinned versions everywhere; they do no harm here.
COPY requirements.lock requirements-htmx.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock \
    && pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps -r requirements-htmx.lock
COPY pyproject.toml hatch_build.py README.md ./
COPY pipeline pipeline
COPY workers workers
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
    && useradd --create-home sailpipe

USER sailpipe
WORKDIR /home/sailpipe
ENV PYTHONUNBUFFERED=1
ENTRYPOINT ["sailpipe"]
CMD ["--help"]
