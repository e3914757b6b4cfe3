# One image for both servers in all modes and for Nginx's files (docker/nginx_files), so that code, static files and Nginx's
# configuration always match.
ARG PYTHON_VERSION=3.13

# The locked packages in a virtual environment, byte-compiled because the root will be read-only. pip stays behind.
FROM python:${PYTHON_VERSION}-slim AS packages
COPY requirements.txt /tmp/
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --root-user-action ignore --disable-pip-version-check \
        --require-hashes --only-binary :all: -r /tmp/requirements.txt

# The project, and its user, who can't change its files. Without pip, and with the standard library byte-compiled, which the base
# image lacks: starts need a third less CPU.
FROM python:${PYTHON_VERSION}-slim AS project
RUN pip uninstall --yes --quiet --root-user-action ignore pip \
    && python -m compileall -qq "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && groupadd --gid 10001 app \
    && useradd --uid 10001 --gid 10001 --home-dir /app --no-create-home --shell /usr/sbin/nologin app
ENV PATH=/opt/venv/bin:$PATH \
    DJANGO_SETTINGS_MODULE=wisheasy.settings \
    PYTHONUNBUFFERED=1 \
    BIND_ADDRESS=0.0.0.0
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY docker/probe.py docker/
COPY manage.py gunicorn.conf.py ./
COPY wisheasy wisheasy
COPY kit kit
COPY apps apps
# Whatever the clone's umask.
RUN chmod -R a+rX . && python -m compileall -q .

# Static files with hashed names, compressed with gzip. The key exists for this command only, which has no other secret.
FROM project AS static
RUN SETTINGS_STAND_INS=1 SECRET_KEY=$(python -c 'import secrets; print(secrets.token_hex(32))') \
    python manage.py collectstatic --no-input --verbosity 0

FROM project
COPY --from=static /app/var/static var/static
COPY nginx nginx
COPY --chmod=755 docker/nginx_files docker/
# Files with which a host releases this image; docker/deploy_on_host extracts them.
COPY Makefile docker-compose.yml .env.example /host/
COPY docker /host/docker
COPY deploy /host/deploy
# Volumes mounted on these folders take their owners.
RUN chmod -R a+rX nginx docker /host && install --directory --owner app --group app /srv/nginx /certificates var/media var/media/.uploads \
    && install --directory --owner 101 --group 101 /bodies
USER 10001:10001
EXPOSE 8000
CMD ["python", "-m", "kit.serving"]
ARG REVISION=unknown TITLE=unknown
LABEL org.opencontainers.image.title=$TITLE org.opencontainers.image.revision=$REVISION
# The label of error reports and metrics.
ENV REVISION=$REVISION
