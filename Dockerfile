# One file for all services: `docker build --build-arg SERVICE=records -t hagukumi-records .`
# The image holds shared/ and one service. `--target tools` is the image that makes keys and sets up Kafka.
ARG PYTHON=3.13-slim

FROM python:${PYTHON} AS packages
COPY requirements/base.txt /requirements.txt
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --disable-pip-version-check \
    --require-hashes --requirement /requirements.txt

FROM python:${PYTHON} AS base
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 1000 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin hagukumi
COPY --from=packages /venv /venv
WORKDIR /app
COPY shared shared

FROM base AS tools
COPY deploy deploy
USER 1000:1000
ENTRYPOINT ["python", "-m"]

# What runs as native code: what reads events, and the schedule's rules in its own image.
FROM python:${PYTHON} AS engine
ARG SERVICE
WORKDIR /app
COPY requirements/engine.txt /requirements.txt
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev \
    && pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement /requirements.txt
COPY shared/__init__.py shared/compiled.py shared/
COPY shared/native shared/native
COPY services/__init__.p[y] services/
COPY services/${SERVICE} services/${SERVICE}
COPY deploy/__init__.p[y] deploy/engine.py deploy/
RUN python -m deploy.engine --must

FROM base AS service
ARG SERVICE
ENV HAGUKUMI_SERVICE=${SERVICE} HAGUKUMI_HTTP_HOST=0.0.0.0 HAGUKUMI_HTTP_PORT=8000 HAGUKUMI_PROBE_PORT=9000
RUN test -n "${SERVICE}"
COPY services/__init__.p[y] services/
COPY services/${SERVICE} services/${SERVICE}
COPY --from=engine /app/build build
USER 1000:1000
EXPOSE 8000 9000
STOPSIGNAL SIGTERM
# `exec`: the service itself gets the SIGTERM.
ENTRYPOINT ["sh", "-c", "exec python -m services.$HAGUKUMI_SERVICE"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9000/readyz', timeout=4)"]
