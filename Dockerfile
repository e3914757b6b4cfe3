# Two images from one build, so that code and static files always belong together:
# `web` (Gunicorn, both servers; also migrates) and `nginx` (the edge, with the static files).
ARG PYTHON_VERSION=3.13

# The locked packages in a virtual environment, byte-compiled because the root will be read-only. pip stays here.
FROM python:${PYTHON_VERSION}-slim AS packages
COPY requirements.txt /tmp/
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --root-user-action ignore --disable-pip-version-check \
        --require-hashes --only-binary :all: -r /tmp/requirements.txt

# The project and its user, who may write nothing of it. Nothing can be installed in it.
FROM python:${PYTHON_VERSION}-slim AS project
RUN pip uninstall --yes --quiet --root-user-action ignore pip \
    && groupadd --gid 10001 wisheasy \
    && useradd --uid 10001 --gid 10001 --home-dir /app --no-create-home --shell /usr/sbin/nologin wisheasy
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    BIND_ADDRESS=0.0.0.0
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY docker/probe.py docker/
COPY manage.py gunicorn.conf.py ./
COPY wisheasy wisheasy
COPY apps apps
RUN python -m compileall -q .

# Static files with the hash of their content in their names, and gzipped. The key exists for this command alone.
FROM project AS static
RUN SECRET_KEY=$(python -c 'import secrets; print(secrets.token_hex(32))') \
    python manage.py collectstatic --no-input --verbosity 0

# The edge: configuration, error pages and static files.
FROM nginx:1.30 AS nginx
ENV NGINX_ENTRYPOINT_LOCAL_RESOLVERS=1 \
    NGINX_ENTRYPOINT_QUIET_LOGS=1 \
    NGINX_ENVSUBST_FILTER="^(SERVER_MODE|NGINX_LOCAL_RESOLVERS)$" \
    SERVER_MODE=wsgi
COPY nginx/nginx.conf nginx/mime.types /etc/nginx/
COPY nginx/templates /etc/nginx/templates
COPY nginx/snippets /etc/nginx/snippets
COPY nginx/upstreams /etc/nginx/upstreams
COPY nginx/errors /srv/wisheasy/errors
COPY --from=static /app/var/static /srv/wisheasy/static
USER 101:101
EXPOSE 8080
ARG REVISION=unknown
LABEL org.opencontainers.image.title="wisheasy-nginx" org.opencontainers.image.revision=$REVISION

# The server. It has the static files too, for their names, and to serve them where no Nginx does.
FROM project AS web
COPY --from=static /app/var/static var/static
USER 10001:10001
EXPOSE 8000
CMD ["python", "-m", "wisheasy.serving"]
ARG REVISION=unknown
LABEL org.opencontainers.image.title="wisheasy-web" org.opencontainers.image.revision=$REVISION
